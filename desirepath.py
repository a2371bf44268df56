"""Command line: one `desirepath` command whose verbs live beside the code that they drive."""

from __future__ import annotations

import sys

import typer

import feature_store.cli
import serving.cli
import training.cli
import training.demo.cli
from recommender.errors import DesirepathError, InvalidInputError

REFUSED, USAGE = 1, 2

app = typer.Typer(
    name="desirepath",
    help="Recommendations for shops: from an event log to a suggestion, and back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verbs in (feature_store.cli.app, training.cli.app, serving.cli.app):
    app.add_typer(verbs)
app.command()(training.demo.cli.demo)


def main() -> None:
    """Run one verb and translate errors to exit codes: 2 for what was asked, 1 for a refusal."""
    try:
        app()
    except InvalidInputError as error:
        _leave(error, USAGE)
    except DesirepathError as error:
        _leave(error, REFUSED)
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"desirepath: {error}; this verb needs an extra: "
            "pip install 'desirepath[training]' or 'desirepath[serving]'\n"
        )
        sys.exit(USAGE)


def _leave(error: DesirepathError, code: int) -> None:
    sys.stderr.write(f"desirepath: {error}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
