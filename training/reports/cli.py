"""Verbs of ``desirepath report``: judgements beyond the evaluation of a model."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feature_store.cli_options import DEFAULT_STORE, MOMENTS, AsJson, FormatName
from feature_store.console import Console
from feature_store.layout import StoreLayout
from recommender.errors import InvalidInputError

if TYPE_CHECKING:
    from training.reports.journeys import JourneysReport

app = typer.Typer(help="Reports beyond the evaluation of a model.", no_args_is_help=True)

FOLDER = "reports"


@app.callback()
def reports() -> None:
    """Reports beyond the evaluation of a model."""


@app.command()
def journeys(
    *,
    store: Annotated[
        Path | None, typer.Option(help="Folder of the shop's data; `var` without --log.")
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(help="A file or folder to report on instead; no store is touched."),
    ] = None,
    format_name: FormatName = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for journeys.html and journeys.json. Default: `reports` in the store, or "
            "here with --log."
        ),
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=MOMENTS, help="Begin here (UTC).")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=MOMENTS, help="End before this moment (UTC).")
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, help="The last so many days before the end.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the customer's way through the shop: paths, exits, dead ends, detours, help from lists.

    Writes one self-contained page for people and the same figures as JSON. The same log gives the
    same bytes.
    """
    from training.reports.journeys import find_period, report_journeys
    from training.sections import EvaluationSpec

    if store is not None and log is not None:
        raise InvalidInputError("--log is reported on by itself; give --store or --log, not both")
    if log is None and format_name is not None:
        raise InvalidInputError(f"--format {format_name} without --log; name the file too")
    console = Console(as_json)
    with _tables(store or DEFAULT_STORE, log, format_name, console) as layout:
        period = find_period(layout, _utc(since), _utc(until), days)
        report = report_journeys(layout, period, EvaluationSpec())
    folder = out or (Path(FOLDER) if log is not None else (store or DEFAULT_STORE) / FOLDER)
    page = _write(report, folder)
    _show(report, console)
    console.say(f"page: {page}")
    if as_json:
        console.result(report.figures)


@contextmanager
def _tables(
    store: Path, log: Path | None, format_name: str | None, console: Console
) -> Iterator[StoreLayout]:
    """The store, or tables of a log that are thrown away afterwards."""
    if log is None:
        yield StoreLayout(store)
        return
    from feature_store.ingest import IngestOptions, ingest
    from feature_store.summary import show_ingest
    from training.wiring import recognise

    with tempfile.TemporaryDirectory(prefix="desirepath-report-") as scratch:
        layout = StoreLayout(Path(scratch))
        with console.progress(f"reading {log.name}", None) as progress:
            options = IngestOptions(on_rows=progress.advance)
            ingested = ingest(log, format_name or recognise(log), layout, options)
        show_ingest(console, ingested)
        ingested.refuse_nothing_kept()
        yield layout


def _write(report: JourneysReport, folder: Path) -> Path:
    from training.reports.page import render_page

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "journeys.json").write_bytes(report.to_json())
    page = folder / "journeys.html"
    page.write_text(render_page(report.figures), "utf-8")
    return page


def _show(report: JourneysReport, console: Console) -> None:
    console.table(
        f"Visits from {report.period_start} to {report.period_end}",
        [
            {
                "stage": each.stage,
                "visits": each.visits,
                "share": f"{each.share:.1%}",
            }
            for each in report.stages
        ],
    )


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)


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
    as_json: AsJson = False,
) -> None:
    """How well the pace of visits is told, on simulated shops whose shoppers have a true one.

    Exit codes: 0 the targets are met, 1 they are not, 2 wrong usage.
    """
    from training.evaluation.pace_report import judged
    from training.pace_file import read_pace_file
    from training.pace_learning import judging_spec, steps_of
    from training.pace_summary import pace_summary, show_pace, write_pace

    console = Console(as_json)
    spec = judging_spec(tuple(seeds or ()), shoppers, days)
    steps = steps_of(spec.test, spec, lambda seed: console.say(f"shop {seed} simulated"))
    found = judged(read_pace_file().network(), steps, spec.test)
    show_pace(found, console)
    written = write_pace(found, out) if out else []
    console.result(pace_summary(found) | {"files": [str(path) for path in written]})
    raise typer.Exit(0 if all(each["reached"] for each in found.targets) else 1)
