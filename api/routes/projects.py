"""Projects: the working directories that conversations ran in."""

from typing import Annotated

from litestar import Router, get
from litestar.params import FromPath, QueryParameter

from api.access import Reach
from api.answers import projects as answers
from api.answers.projects import ProjectBody, ProjectPage
from api.errors import documented
from api.routes.parameters import After, Limit
from storage import projects


@get(
    operation_id="listProjects",
    summary="List projects with their sums, newest activity first",
    responses=documented(),
)
async def list_projects(access: Reach, after: After = None, limit: Limit = 100) -> ProjectPage:
    return await access.in_thread(lambda conn: answers.page(conn, after=after, limit=limit))


@get(
    "/{project_id:str}",
    operation_id="getProject",
    summary="Get a project with its sums",
    responses=documented(404, 409),
)
async def get_project(
    access: Reach,
    project_id: FromPath[str],
    path: Annotated[
        str | None, QueryParameter(description="The exact path, where an id fits several")
    ] = None,
) -> ProjectBody:
    return await access.in_thread(
        lambda conn: answers.body_of(projects.find(conn, path or project_id))
    )


ROUTER = Router("/api/projects", route_handlers=[list_projects, get_project], tags=["projects"])
