"""How SQLite answers what is asked of it meanwhile."""

import contextlib


class Plan:
    def __init__(self):
        self.statements = []
        self.texts = []

    @property
    def text(self):
        return "\n".join(self.texts)


@contextlib.contextmanager
def of(db):
    """The plans of all selects that run inside."""
    plan = Plan()
    db.conn.set_trace_callback(plan.statements.append)
    try:
        yield plan
    finally:
        db.conn.set_trace_callback(None)
    for statement in plan.statements:
        if statement.lstrip().lower().startswith(("select", "with")):
            rows = db.conn.execute(f"explain query plan {statement}")
            plan.texts.append("\n".join(row[3] for row in rows))
