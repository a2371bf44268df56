"""The verb that simulates a shop."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feature_store.cli_options import AsJson
from feature_store.console import Console

if TYPE_CHECKING:
    from training.simulation.run import RunResult

FIRST_DAY = datetime(2026, 9, 1, tzinfo=UTC)


def simulate(  # noqa: PLR0917 - Typer declares options as arguments
    out: Annotated[Path, typer.Option(help="New or empty folder for events, catalogue, truth.")],
    shoppers: Annotated[int, typer.Option(min=1, help="People and bots.")] = 5000,
    days: Annotated[int, typer.Option(min=1, help="Length of the run.")] = 30,
    items: Annotated[int, typer.Option(min=20, help="Size of the catalogue.")] = 1500,
    seed: Annotated[int, typer.Option(min=0, help="Same seed and sizes: same bytes.")] = 0,
    start: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="First day, UTC. Without it 2026-09-01; with --against so that it ends today.",
        ),
    ] = None,
    output: Annotated[
        str, typer.Option(help="jsonl: one event a line. parquet: one row per item, for bulk.")
    ] = "jsonl",
    against: Annotated[
        str | None,
        typer.Option(
            help="Running service on this machine, such as http://127.0.0.1:8080: events go there "
            "as well, and it is asked for every list. The key is read from DESIREPATH_API_KEY."
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            help="Folder of real logs (with data/ in it) whose figures are put beside; without it "
            "DESIREPATH_SHARED.",
            envvar="DESIREPATH_SHARED",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Simulate a shop whose shoppers react to what they are shown.

    Writes events.jsonl (format desirepath-jsonl) or events/ (desirepath-parquet), catalogue.jsonl,
    report.json, and what really happened in truth/, which is never part of the events.
    """
    from training.simulation.run import RunRequest, live_start, report_of, run, run_against
    from training.simulation.service import Connection

    console = Console(as_json)
    if against is not None and start is None:
        first = live_start(datetime.now(UTC), days)
    else:
        first = FIRST_DAY if start is None else start.replace(tzinfo=UTC)
    request = RunRequest(out, first, shoppers, days, items, seed, output)
    data = None if compare is None else compare / "data"
    with console.progress(f"{shoppers} shoppers, {days} days", days) as bar:
        if against is None:
            result = run(request, data, lambda _: bar.advance())
        else:
            connection = Connection(against, os.environ.get("DESIREPATH_API_KEY"))
            result = run_against(request, connection, data, lambda _: bar.advance())
            connection.close()
    _show(console, result)
    if as_json:
        console.result({"out": str(out), **report_of(request, result), "delivery": result.delivery})


def _show(console: Console, result: RunResult) -> None:
    console.table(
        "Events", [{"event": name, "number": n} for name, n in sorted(result.by_type.items())]
    )
    if result.delivery:
        console.table("Delivered", [result.delivery])
    if result.comparison:
        logs = list(dict.fromkeys(name for one in result.comparison for name in one.real))
        console.table("Beside real logs", [one.row(logs) for one in result.comparison])
    else:
        console.table(
            "Figures", [{"figure": name, "value": value} for name, value in result.figures.items()]
        )
