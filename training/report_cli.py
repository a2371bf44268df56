"""Verbs of ``desirepath report``: judgements beyond the evaluation of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from feature_store.console import Console

app = typer.Typer(help="Reports beyond the evaluation of a model.", no_args_is_help=True)


@app.callback()
def report() -> None:
    """Reports beyond the evaluation of a model."""


@app.command()
def pace(
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder for pace.json, pace.md and pictures.")
    ] = None,
    seeds: Annotated[
        list[int] | None,
        typer.Option("--seed", help="Simulated shop to judge on; may be repeated."),
    ] = None,
    shoppers: Annotated[int, typer.Option(min=100, help="Shoppers of each shop.")] = 3_000,
    days: Annotated[int, typer.Option(min=1, help="Days of each shop.")] = 25,
    as_json: Annotated[bool, typer.Option("--json", help="Result as one JSON line.")] = False,
) -> None:
    """How well the pace of visits is told, on simulated shops whose shoppers have a true one.

    Exit codes: 0 the targets are met, 1 they are not, 2 wrong usage.
    """
    from training.evaluation.pace_report import judged
    from training.evaluation.plots_pace import write_pace
    from training.pace_file import read_pace_file
    from training.pace_learning import judging_spec, steps_of
    from training.pace_summary import pace_summary, show_pace

    console = Console(as_json)
    spec = judging_spec(tuple(seeds or ()), shoppers, days)
    steps = steps_of(spec.test, spec, lambda seed: console.say(f"shop {seed} simulated"))
    found = judged(read_pace_file().network(), steps, spec.test)
    show_pace(found, console)
    written = write_pace(found, out) if out else []
    console.result(pace_summary(found) | {"files": [str(path) for path in written]})
    raise typer.Exit(0 if all(each["reached"] for each in found.targets) else 1)
