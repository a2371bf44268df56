"""Verbs of ``desirepath experiment`` that read: what a test says."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from feature_store.cli_options import DEFAULT_STORE, MOMENTS, AsJson
from feature_store.console import Console
from feature_store.layout import StoreLayout
from recommender.errors import InvalidInputError
from recommender.terms import INTERACTION_TYPES, SELECT_ITEM
from training.cli import TrackingUri
from training.wiring import make_workbench, micros, stop_event

if TYPE_CHECKING:
    from training.evaluation.experiment.report import ExperimentReading
    from training.experiment_spec import ExperimentSpec
    from training.guard import Guarded

app = typer.Typer()

Key = Annotated[str, typer.Argument(metavar="KEY", help="Key of the experiment.")]
Root = Annotated[
    Path, typer.Option("--root", "--store", help="Folder of the shop's data: its log and tables.")
]
Phase = Annotated[int | None, typer.Option(min=0, help="Phase to read. Default: the last one.")]
Until = Annotated[
    datetime | None, typer.Option(formats=MOMENTS, help="Only what was before this moment (UTC).")
]

Config = Annotated[
    Path | None, typer.Option(help="Training file with [experiment]; defaults without.")
]
Record = Annotated[bool, typer.Option("--record/--no-record", help="Keep the reading in MLflow.")]


@app.command()
def read(
    key: Key,
    *,
    root: Root = DEFAULT_STORE,
    control: Annotated[
        str | None,
        typer.Option(help="Arm to compare with. Default: `control`, else the first by name."),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            help="ARM=WEIGHT, once for each arm, where the log does not say how large the arms "
            "should be: without it, arms that were assigned elsewhere are taken as equal."
        ),
    ] = None,
    phase: Phase = None,
    until: Until = None,
    same: Annotated[
        bool, typer.Option("--aa", help="The arms are alike (A/A): any difference is a fault.")
    ] = False,
    config: Config = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the files. Default: `reports/experiment-KEY` in the root."),
    ] = None,
    record: Record = True,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Read a test: sample ratio, the time before it, metrics, guardrails.

    Bring the service's log in first: `desirepath ingest`. Writes reading.json, reading.md and a
    picture per metric.

    Exit codes: 0 read, 1 refused because the arms are not as large as promised, 2 wrong usage.
    """
    from training.evaluation.experiment.reading import ReadRequest, read_experiment
    from training.experiment_record import keep, reading_folder, record_reading

    folder = out or reading_folder(StoreLayout(root), key)
    request = ReadRequest(key, control, _weights(weight or []), phase, micros(until), same)
    console = Console(as_json)
    reading = read_experiment(StoreLayout(root), request, _spec(config))
    files = keep(reading, folder)
    if record:
        run_id = record_reading(reading, folder, make_workbench(root, tracking_uri, console))
        console.say(f"MLflow run: {run_id}")
    _show(reading, console)
    console.say(f"files: {', '.join(str(path) for path in files)}")
    if as_json:
        console.result(reading.figures)
    raise typer.Exit(1 if reading.is_refused else 0)


@app.command()
def guard(
    key: Key,
    *,
    root: Root = DEFAULT_STORE,
    control: Annotated[str | None, typer.Option(help="Arm to compare with, as for `read`.")] = None,
    phase: Phase = None,
    config: Config = None,
    roll_back: Annotated[
        bool,
        typer.Option(
            "--roll-back",
            help="Where a guardrail is broken: pause the experiment, and bring the champion before "
            "back and deliver it, or mark the version where it is not the champion. Without it "
            "nothing is done.",
        ),
    ] = False,
    watch: Annotated[
        bool, typer.Option(help="Go on until stopped, or until a guardrail is broken.")
    ] = False,
    interval: Annotated[float, typer.Option(min=1, help="Seconds between looks.")] = 300.0,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Look whether a running test breaks a guardrail; bring the service's log in before.

    Exit codes: 0 none is broken, 1 one is broken or the reading is refused, 2 wrong usage.
    """
    from training import watching
    from training.evaluation.experiment.reading import ReadRequest
    from training.guard import Guarded, Means
    from training.guard import guard as look

    console, layout = Console(as_json), StoreLayout(root)
    spec, request = _spec(config), ReadRequest(key, control, phase=phase)
    bench = make_workbench(root, tracking_uri, console) if roll_back else None

    def once() -> Guarded:
        means = None if bench is None else Means(bench.registry, bench.clock())
        return look(layout, request, spec, means)

    if not watch:
        _leave(once(), console)
    stop = stop_event()
    for each in watching.watch(once, watching.Schedule(interval), stop.wait):
        if not isinstance(each, Guarded):
            console.say(f"not read: {each}")
        elif each.is_alarm:
            _leave(each, console)


@app.command()
def preference(
    key: Key,
    *,
    root: Root = DEFAULT_STORE,
    control: Annotated[
        str | None,
        typer.Option(help="Team to compare with. Default: `control`, else the first by name."),
    ] = None,
    outcome: Annotated[
        str, typer.Option(help="Event type that is credited, such as purchase.")
    ] = SELECT_ITEM,
    until: Until = None,
    config: Config = None,
    record: Record = True,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Read an interleaved test: which of the two rankings the outcomes prefer.

    Bring the service's log in first: `desirepath ingest`. Writes preference.json into
    `reports/experiment-KEY` of the root.
    """
    from training.evaluation.experiment.drafts import DraftRequest, read_drafts
    from training.experiment_record import keep_preference, reading_folder, record_preference

    layout, console = StoreLayout(root), Console(as_json)
    folder = reading_folder(layout, key)
    request = DraftRequest(key, control, _event_type(outcome), micros(until))
    found = read_drafts(layout, request, _spec(config))
    path = keep_preference(found, folder)
    if record:
        run_id = record_preference(found, path, make_workbench(root, tracking_uri, console))
        console.say(f"MLflow run: {run_id}")
    console.result(found.figures)


@app.command()
def health(
    key: Key, *, root: Root = DEFAULT_STORE, phase: Phase = None, as_json: AsJson = False
) -> None:
    """Say how a running test is doing, from the log alone: arms, sample ratio, losses.

    No tables are needed. Exit codes: 0 as promised, 1 the sample ratio is not, 2 wrong usage.
    """
    from feature_store.experiment_health import experiment_health

    console = Console(as_json)
    found = experiment_health(StoreLayout(root), key, phase)
    fields = msgspec.to_builtins(found)
    console.table(f"{key}, phase {found.phase}", fields["arms"])
    console.result(fields if as_json else {k: v for k, v in fields.items() if k != "arms"})
    raise typer.Exit(1 if found.is_mismatch else 0)


@app.command()
def export(
    key: Key,
    *,
    to: Annotated[Path, typer.Option(help="File to write: .parquet, or .ndjson for JSON lines.")],
    root: Root = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Write who was in which arm when, as experiment tools take it from a warehouse.

    Columns: timestamp, experiment_id, variation_id, subject_id (the pseudonym); one row per answer.
    """
    from training.experiment_table import write_assignments

    console = Console(as_json)
    rows = write_assignments(StoreLayout(root), key, to)
    console.result({"experiment": key, "rows": rows, "file": str(to)})


def _event_type(name: str) -> str:
    if name not in INTERACTION_TYPES:
        raise InvalidInputError(f"--outcome {name}; accepted: {', '.join(INTERACTION_TYPES)}")
    return name


def _leave(found: Guarded, console: Console) -> None:
    for text in (*found.broken, *found.effects):
        console.say(text)
    console.result(found.summary)
    raise typer.Exit(1 if found.is_alarm else 0)


def _spec(config: Path | None) -> ExperimentSpec:
    from training.spec import TrainingSpec, load_spec

    return (load_spec(config) if config else TrainingSpec()).experiment


def _weights(given: list[str]) -> tuple[tuple[str, float], ...]:
    return tuple(_weight(each) for each in given)


def _weight(text: str) -> tuple[str, float]:
    arm, _, number = text.rpartition("=")
    try:
        return _named(arm, text), float(number)
    except ValueError as error:
        raise InvalidInputError(f"--weight {text}; accepted: ARM=NUMBER") from error


def _named(arm: str, text: str) -> str:
    if not arm:
        raise InvalidInputError(f"--weight {text}; accepted: ARM=NUMBER")
    return arm


def _show(reading: ExperimentReading, console: Console) -> None:
    from training.evaluation.experiment.markdown import arm_rows, guardrail_rows, metric_rows

    console.table(f"{reading.experiment}, phase {reading.phase}", arm_rows(reading))
    for each in reading.comparisons:
        console.table(
            f"{each.variant} beside {reading.control}", metric_rows(each, reading.primary)
        )
        console.table(f"guardrails of {each.variant}", guardrail_rows(each))
    if reading.refusal:
        console.say(f"refused: {reading.refusal}")
    for doubt in reading.doubts:
        console.say(f"doubt: {doubt}")
