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
    from training.reports.report import Report

app = typer.Typer(help="Reports beyond the evaluation of a model.", no_args_is_help=True)

FOLDER = "reports"


@app.callback()
def reports() -> None:
    """Reports beyond the evaluation of a model."""


Since = Annotated[datetime | None, typer.Option(formats=MOMENTS, help="Begin here (UTC).")]
Until = Annotated[
    datetime | None, typer.Option(formats=MOMENTS, help="End before this moment (UTC).")
]
Days = Annotated[int | None, typer.Option(min=1, help="The last so many days before the end.")]
Store = Annotated[Path, typer.Option(help="Folder of the shop's data: its log and its tables.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder for the page and the JSON. Default: `reports` in the store."),
]


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
    since: Since = None,
    until: Until = None,
    days: Days = None,
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
    _show(report, console)
    _finish("journeys", report, folder, console)


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


def _finish(name: str, report: Report, folder: Path, console: Console) -> None:
    """Write figures and page of a report into a folder, and say where."""
    from training.reports.page import render

    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_bytes(report.to_json())
    page = folder / f"{name}.html"
    page.write_text(render(name, report.figures), "utf-8")
    console.say(f"page: {page}")
    if console.as_json:
        console.result(report.figures)


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
def expectation(
    *,
    store: Store = DEFAULT_STORE,
    config: Annotated[
        Path | None,
        typer.Option(help="Training file with [acceptance] tolerance; defaults without."),
    ] = None,
    out: Out = None,
    since: Since = None,
    until: Until = None,
    days: Days = None,
    as_json: AsJson = False,
) -> None:
    """Hold what lists promised against what they got, by placement, stage and session mode.

    Bring the service's log in first: `desirepath ingest`. Writes expectation.html and
    expectation.json.
    """
    from training.reports.expectation import report_expectation
    from training.reports.journeys import find_period
    from training.reports.list_rows import gap_rows
    from training.spec import TrainingSpec, load_spec

    spec = load_spec(config) if config else TrainingSpec()
    layout, console = StoreLayout(store), Console(as_json)
    period = find_period(layout, _utc(since), _utc(until), days)
    report = report_expectation(layout, period, spec.evaluation, spec.acceptance.tolerance)
    console.table("Predicted and delivered acceptance", gap_rows(report))
    _finish("expectation", report, out or store / FOLDER, console)


@app.command()
def intrusiveness(
    *,
    store: Store = DEFAULT_STORE,
    out: Out = None,
    since: Since = None,
    until: Until = None,
    days: Days = None,
    as_json: AsJson = False,
) -> None:
    """Say what lists cost those who see them, by placement and arm.

    Share of the page changed, repeats of what was ignored, dismissals, exits after a showing.
    Bring the service's log in first: `desirepath ingest`. Writes intrusiveness.html and
    intrusiveness.json.
    """
    from training.reports.intrusiveness import report_intrusiveness
    from training.reports.journeys import find_period
    from training.reports.list_rows import cost_rows
    from training.sections import EvaluationSpec

    layout, console = StoreLayout(store), Console(as_json)
    period = find_period(layout, _utc(since), _utc(until), days)
    report = report_intrusiveness(layout, period, EvaluationSpec())
    console.table("Costs by placement and arm", cost_rows(report))
    _finish("intrusiveness", report, out or store / FOLDER, console)


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
