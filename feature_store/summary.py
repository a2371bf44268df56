"""What the verbs of the feature store show to people and give to machines."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import msgspec

from feature_store.catalogue_file import CatalogueReport
from feature_store.console import Console
from feature_store.datasets import DATASETS, recognise
from feature_store.ingest_report import IngestReport
from feature_store.layout import StoreLayout
from feature_store.loaders.registry import FORMATS
from feature_store.source import read_sources
from feature_store.tables import data_digest, read_manifests


def show_ingest(console: Console, report: IngestReport) -> None:
    """What became of the rows of a source."""
    counts = {
        "rows in": report.rows_in,
        "kept": report.kept,
        "duplicates": report.duplicates,
        **{f"rejected: {reason}": count for reason, count in report.rejected.items()},
        **{f"passed over: {reason}": count for reason, count in report.skipped.items()},
    }
    if report.displaced:
        counts["displaced from the table"] = report.displaced
    rows = [{"what": what, "rows": count} for what, count in counts.items()]
    console.table(f"{report.source} ({report.source_format})", rows)
    console.say(
        f"{report.events_kept} events on {len(report.days)} days, "
        f"{len(report.days_rewritten)} days rewritten"
    )
    if not report.rows_in:
        console.say(f"there is nothing new in {report.source}")
    if report.quarantine:
        console.say(f"rejected rows: {report.quarantine}")


def show_catalogue(console: Console, report: CatalogueReport) -> None:
    """What became of the shop's catalogue file."""
    rows = [{"what": what, "items": value} for what, value in as_fields(report).items()]
    console.table("catalogue", rows)


def show_recognised(console: Console, path: Path) -> dict[str, object]:
    """What a file or folder looks like."""
    found = as_fields(recognise(path))
    console.table(str(path), [{"what": what, "": value} for what, value in found.items()])
    return found


def show_holdings(console: Console, layout: StoreLayout) -> dict[str, object]:
    """Days, rows and sources of a store."""
    days = [
        {"day": found.event_date, "rows": found.rows, "events": found.events}
        for found in read_manifests(layout)
    ]
    sources = [as_fields(record) for record in read_sources(layout)]
    console.table("days", days)
    console.table("sources", sources)
    totals = {name: sum(int(str(day[name])) for day in days) for name in ("rows", "events")}
    return {"days": days, "sources": sources, **totals, "data_digest": data_digest(layout)}


def show_known(console: Console) -> dict[str, object]:
    """Public data sets, and the formats that can be read."""
    sets = [{**asdict(found), "sha256": found.sha256} for found in DATASETS]
    formats = [
        {"format": found.name, "what": found.title, "expects": found.expects}
        for found in FORMATS.values()
    ]
    shown = ("name", "format_name", "licence", "origin", "sha256")
    console.table("public data sets", [{key: found[key] for key in shown} for found in sets])
    console.table("formats", formats)
    return {"datasets": sets, "formats": formats}


def as_fields(struct: object) -> dict[str, object]:
    """The fields of a struct or dataclass as plain values."""
    fields: dict[str, object] = msgspec.to_builtins(struct)
    return fields
