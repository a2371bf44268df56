"""What an ingest reads: a file, a folder, or the service's own log from where it last ended."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec
import polars as pl

from feature_store.atomic_file import write_atomic
from feature_store.ingest_report import IngestReport
from feature_store.layout import StoreLayout
from feature_store.loaders.options import LoadOptions
from feature_store.loaders.registry import Format
from feature_store.tables import file_sha256
from recommender.errors import ConfigError, DataError

LOG_FORMAT = "desirepath-log"


class SourceRecord(msgspec.Struct, frozen=True):
    """A source that has been ingested; written once, at its first ingest."""

    name: str
    source_format: str
    digest: str
    rows_in: int
    kept: int
    duplicates: int
    rejected: dict[str, int]


class Source(Protocol):
    """Something that gives batches of rows once."""

    def batches(self, options: LoadOptions) -> Iterator[pl.DataFrame]:
        """Rows in the columns of `feature_store.loaders.columns.SCHEMA`."""
        ...

    def digest(self) -> str:
        """What was read, sha256 (hex); to be asked after the last batch."""
        ...

    def skipped(self) -> dict[str, int]:
        """What was passed over, by reason."""
        ...

    def commit(self) -> None:
        """Remember that all of it is in the table."""
        ...


def open_source(path: Path, source_format: Format, layout: StoreLayout) -> Source:
    """The source at `path`. Raises `DataError` when nothing is there."""
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    if source_format.name == LOG_FORMAT:
        return LogSource(path, layout)
    return FileSource(path, source_format)


class FileSource:
    """A file or folder, read whole every time."""

    def __init__(self, path: Path, source_format: Format) -> None:
        self._path, self._format = path, source_format

    def batches(self, options: LoadOptions) -> Iterator[pl.DataFrame]:
        """Rows of the file."""
        return self._format.batches(self._path, options)

    def digest(self) -> str:
        """sha256 of the file's bytes; of names and digests for a folder."""
        return path_digest(self._path)

    def skipped(self) -> dict[str, int]:
        """Nothing: loaders make a rejected row of everything that they cannot use."""
        return {}

    def commit(self) -> None:
        """Nothing to remember: its rows are recognised when they come again."""


class LogSource:
    """A log folder, from the positions that the last ingest of this folder reached."""

    def __init__(self, path: Path, layout: StoreLayout) -> None:
        name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
        self._path = path
        self._positions_path = sources_folder(layout) / f"log-{name}.json"
        self._before = self._read_positions()
        self._after: dict[str, int] = {}
        self._skipped: dict[str, int] = {}

    def batches(self, options: LoadOptions) -> Iterator[pl.DataFrame]:
        """Rows of the records that came since. Raises `ConfigError` for a strict load."""
        from feature_store.event_log import LogReader
        from feature_store.loaders.event_log import record_batches

        if options.strict:
            raise ConfigError(
                "strict: no digest is published for a log; accepted for: retailrocket"
            )
        reader = LogReader(self._path, self._before)
        yield from record_batches(reader, options)
        self._after = reader.positions
        counts = reader.counts
        found = {"unknown": counts.unknown, "unreadable": counts.unreadable}
        found["damaged"] = counts.damaged
        self._skipped = {f"log_{name}": count for name, count in found.items() if count}

    def digest(self) -> str:
        """sha256 of the positions read from and to."""
        span = msgspec.json.encode([sorted(self._before.items()), sorted(self._after.items())])
        return hashlib.sha256(span).hexdigest()

    def skipped(self) -> dict[str, int]:
        """Records that are not readable."""
        return self._skipped

    def commit(self) -> None:
        """Keep the positions; last of all, so that a killed ingest reads the same records again."""
        if self._after != self._before:
            write_atomic(self._positions_path, msgspec.json.encode(self._after, order="sorted"))

    def _read_positions(self) -> dict[str, int]:
        if not self._positions_path.exists():
            return {}
        return msgspec.json.decode(self._positions_path.read_bytes(), type=dict[str, int])


def sources_folder(layout: StoreLayout) -> Path:
    """Where ingested sources and log positions are kept, with the tables."""
    return layout.tables / "sources"


def remember_source(layout: StoreLayout, report: IngestReport) -> None:
    """Note a source at its first ingest; later ones change nothing."""
    record = SourceRecord(
        name=report.source,
        source_format=report.source_format,
        digest=report.source_digest,
        rows_in=report.rows_in,
        kept=report.kept,
        duplicates=report.duplicates,
        rejected=report.rejected,
    )
    path = sources_folder(layout) / f"{record.digest[:16]}-{record.source_format}.json"
    if not path.exists():
        write_atomic(path, msgspec.json.format(msgspec.json.encode(record)))


def read_sources(layout: StoreLayout) -> list[SourceRecord]:
    """Sources ingested so far, by name."""
    paths = sources_folder(layout).glob("*.json")
    found = [path for path in paths if not path.name.startswith("log-")]
    records = [msgspec.json.decode(path.read_bytes(), type=SourceRecord) for path in found]
    return sorted(records, key=lambda record: (record.name, record.digest))


def path_digest(path: Path) -> str:
    """sha256 of a file's bytes; of names and digests of all files of a folder."""
    if path.is_file():
        return file_sha256(path)
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(path)} {file_sha256(file)}\n".encode())
    return digest.hexdigest()
