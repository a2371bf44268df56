"""Command line: one `desirepath` command whose verbs live beside the code that they drive."""

from __future__ import annotations

import os
import sys

import typer

from recommender.errors import DesirepathError, InvalidInputError

REFUSED, USAGE = 1, 2


def command_line() -> typer.Typer:
    """All verbs."""
    # Read by numpy's linear algebra when it is loaded, which the first verb's code does. More
    # threads never help here: implicit spreads over users itself, and a question is answered by
    # one thread (1,403 answers took 2.7 s with one and 312 s with many on a busy machine).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    import feature_store.cli
    import feature_store.experiments_cli
    import serving.cli
    import training.cli
    import training.demo.cli
    import training.experiment_cli

    app = typer.Typer(
        name="desirepath",
        help="Recommendations for shops: from an event log to a suggestion, and back.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for verbs in (feature_store.cli.app, training.cli.app, serving.cli.app):
        app.add_typer(verbs)
    app.command("compile")(serving.cli.compile_ahead)
    app.add_typer(serving.cli.rules_app, name="rules")
    experiment = typer.Typer(help="Experiments: who is in which arm, and what a test says.")
    for verbs in (feature_store.experiments_cli.app, training.experiment_cli.app):
        experiment.add_typer(verbs)
    app.add_typer(experiment, name="experiment")
    app.command()(training.demo.cli.demo)
    return app


def main() -> None:
    """Run one verb and translate errors to exit codes: 2 for what was asked, 1 for a refusal."""
    try:
        command_line()()
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
