"""Verbs: ingest, check, materialise, erase, datasets. Heavy libraries load inside the verbs."""

from __future__ import annotations

import time
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feature_store.cli_options import DEFAULT_STORE, MOMENTS, AsJson, FormatName, RedisUrl
from feature_store.console import Console
from feature_store.layout import StoreLayout
from recommender.errors import ConfigError, InvalidInputError, RefusedError

if TYPE_CHECKING:
    from feature_store.ingest import IngestOptions
    from feature_store.ingest_report import IngestReport
    from feature_store.quarantine_replay import ReplayReport

app = typer.Typer()

LOG_FORMAT = "desirepath-log"

Store = Annotated[Path, typer.Option(help="Folder of the shop's data.")]


@app.command()
def ingest(
    *,
    log: Annotated[
        Path | None,
        typer.Option(help="What to bring in: a file or folder. Default: the service's own log."),
    ] = None,
    format_name: FormatName = None,
    store: Store = DEFAULT_STORE,
    catalogue: Annotated[
        Path | None,
        typer.Option(help="The shop's items: CSV, JSON lines or Parquet; replaces the one before."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a file that is not the published one.")
    ] = False,
    session_gap: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=86_400,
            help="Silence in seconds that ends a session; fixed by a store's first ingest: 1800.",
        ),
    ] = None,
    time_zone: Annotated[
        str, typer.Option(help="Zone of times that are written without one.")
    ] = "UTC",
    replay_quarantine: Annotated[
        bool,
        typer.Option(
            "--replay-quarantine", help="First send the service's rejected events once more."
        ),
    ] = False,
    redis_url: RedisUrl = None,
    as_json: AsJson = False,
) -> None:
    """Bring events into the tables: validated, without duplicates, with sessions, by day.

    Rows that are refused go to the quarantine folder with the reason. Ingesting a source again
    adds nothing. Exit code 1 when the source has rows and none of them was kept.
    """
    from feature_store.catalogue_file import install_catalogue
    from feature_store.ingest import IngestOptions
    from feature_store.loaders.options import LoadOptions
    from feature_store.summary import as_fields, show_catalogue

    console, layout = Console(as_json), StoreLayout(store)
    result: dict[str, object] = {}
    if replay_quarantine:
        result["replay"] = _replay(console, layout, redis_url)
    path = log or layout.log
    wanted = format_name or _format_of(log, console)
    load = LoadOptions(strict=strict, time_zone=time_zone)
    options = IngestOptions(session_gap_seconds=session_gap, load=load)
    report = _ingest(console, path, wanted, layout, options)
    result = {**as_fields(report), **result}
    if catalogue is not None:
        installed = install_catalogue(catalogue, layout)
        show_catalogue(console, installed)
        result["catalogue"] = as_fields(installed)
    if as_json:
        console.result(result)
    report.refuse_nothing_kept()


@app.command()
def check(
    *,
    store: Store = DEFAULT_STORE,
    at: Annotated[
        datetime | None,
        typer.Option(
            "--at", "--as-of", formats=MOMENTS, help="The moment to judge from (UTC); now without."
        ),
    ] = None,
    day: Annotated[
        datetime | None,
        typer.Option(formats=MOMENTS[:1], help="The day to judge; the last whole one without."),
    ] = None,
    limits: Annotated[
        Path | None, typer.Option(help="TOML file with limits other than the defaults.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge the newest day of the tables before learning from it. Exit code 1 when a gate trips."""
    from feature_store.checks import CheckLimits
    from feature_store.checks import check as run
    from feature_store.summary import as_fields

    console = Console(as_json)
    moment = at.replace(tzinfo=UTC) if at else datetime.now(UTC)
    chosen = CheckLimits.from_mapping(_read_toml(limits)) if limits else CheckLimits()
    report = run(StoreLayout(store), moment, chosen, day.date() if day else None)
    rows = [
        {
            "gate": gate.name,
            "says": "NO" if gate.is_tripped else "-" if gate.value is None else "ok",
            "value": "-" if gate.value is None else gate.value,
            "limit": gate.limit,
            "about": gate.detail,
        }
        for gate in report.gates
    ]
    console.table(f"{report.day}: {report.rows} rows", rows)
    if as_json:
        console.result({**as_fields(report), "is_refused": bool(report.tripped)})
    if report.tripped:
        names = ", ".join(gate.name for gate in report.tripped)
        raise RefusedError(f"{report.day} is not fit to learn from: {names}")


@app.command()
def materialise(
    *,
    store: Store = DEFAULT_STORE,
    at: Annotated[
        datetime | None,
        typer.Option(
            "--at",
            "--as-of",
            formats=MOMENTS,
            help="Use what was known at this moment (UTC); everything without.",
        ),
    ] = None,
    view: Annotated[
        list[str] | None,
        typer.Option(help="Also write the latest values of this feature view; may be repeated."),
    ] = None,
    redis_url: RedisUrl = None,
    as_json: AsJson = False,
) -> None:
    """Fill the online store from the tables, while the service runs or not.

    What the service has learnt since is kept.
    """
    from feature_store.materialise import materialise_store

    console, moment = Console(as_json), at.replace(tzinfo=UTC) if at else None
    with console.progress("shoppers", None) as progress:
        done = materialise_store(
            StoreLayout(store),
            lambda: time.time_ns() // 1000,
            moment,
            view or [],
            redis_url=redis_url,
            advance=lambda: progress.advance(1),
        )
    result = {**done.visitors.as_dict(), "views": done.views}
    rows = [{"what": what, "": value} for what, value in result.items()]
    console.table("online store", rows)
    if as_json:
        console.result(result)


@app.command()
def erase(
    *, store: Store = DEFAULT_STORE, redis_url: RedisUrl = None, as_json: AsJson = False
) -> None:
    """Remove the traces of erased shoppers from tables, log, quarantine and online store.

    They are not read from the moment of their erasure on; this makes them gone from disk. Run it
    once a day, beside the service. What a live process still writes waits for the next run.
    """
    from feature_store.erase import erase as run
    from feature_store.summary import as_fields

    console = Console(as_json)
    result = as_fields(run(StoreLayout(store), lambda: time.time_ns() // 1000, redis_url))
    console.result(result)


@app.command()
def datasets(
    *,
    path: Annotated[
        Path | None, typer.Option(help="A file or folder: say what it is, verify its checksum.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="A shop's data: list the days and sources it holds.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List formats and public data sets; say what a file is, or what a store holds."""
    from feature_store.summary import show_holdings, show_known, show_recognised

    console = Console(as_json)
    if path is not None:
        result = show_recognised(console, path)
    elif store is not None:
        result = show_holdings(console, StoreLayout(store))
    else:
        result = show_known(console)
    if as_json:
        console.result(result)


def _format_of(log: Path | None, console: Console) -> str:
    from feature_store.datasets import recognise

    if log is None:
        return LOG_FORMAT
    found = recognise(log).format_name
    if found is None:
        raise InvalidInputError(f"{log}: its format is not evident; say it with --format")
    console.say(f"{log} looks like {found}")
    return found


def _ingest(
    console: Console, path: Path, format_name: str, layout: StoreLayout, options: IngestOptions
) -> IngestReport:
    from dataclasses import replace

    from feature_store.ingest import ingest as run
    from feature_store.summary import show_ingest

    with console.progress(f"reading {path.name}", None) as progress:
        report = run(path, format_name, layout, replace(options, on_rows=progress.advance))
    show_ingest(console, report)
    return report


def _replay(console: Console, layout: StoreLayout, redis_url: str | None) -> dict[str, object]:
    from feature_store.log_replay import replay_into_log
    from feature_store.summary import as_fields

    report: ReplayReport = replay_into_log(
        layout, lambda: time.time_ns() // 1000, redis_url=redis_url
    )
    result = as_fields(report)
    rows = [{"what": what, "events": count} for what, count in result.items()]
    console.table("replay of the quarantine", rows)
    return result


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
