"""What a user sees when something went wrong: one line on stderr, and an exit code."""

import os
import sys
from typing import Any, NoReturn

import rich_click as click
from click.exceptions import Exit

from certs.errors import CertificateError
from cli import output
from storage.errors import NotFound, WirescribeError

FAILED, MISUSED, INTERRUPTED = 1, 2, 130

# What the API says in one word for all clients, and the command that lists what there is.
_LISTS = {
    "Traffic entry not found": "traffic list",
    "Conversation not found": "conversations list",
    "Project not found": "projects list",
}


class Commands(click.RichGroup):
    """A group whose commands may raise our own errors: they become a line and exit code 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were added, the order in which they are needed."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except NotFound as error:
            command = _LISTS.get(str(error))
            hint = f": `wirescribe {command}` shows those there are" if command else ""
            refuse(f"{error}{hint}")
        except (WirescribeError, CertificateError) as error:
            refuse(str(error))
        except KeyboardInterrupt:
            raise Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # The reader of our output is gone (`| head`); Python would complain again at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise Exit(FAILED) from None
        except OSError as error:
            if error.filename is None:
                raise
            refuse(f"{error.filename}: {error.strerror}")
        except Exception as error:
            # SQL and its errors live in storage; what it does not expect is a damaged file.
            if type(error).__module__ != "sqlite3":
                raise
            refuse(f"the database cannot be read ({error}): `wirescribe doctor` says more")


def say(text: str) -> None:
    """Talk to the user: on stderr, for stdout is for data. Names in it may be captured ones."""
    click.echo("\n".join(map(output.line, text.split("\n"))), err=True)


def refuse(text: str, exit_code: int = FAILED) -> NoReturn:
    """End the command with one line that says what happened, where, and what to do."""
    say(f"wirescribe: {text}")
    raise Exit(exit_code)
