"""Accepted rows of one ingest, parked on disk by day: a source may be larger than memory.

Rows are collected up to `run_rows`, sorted by day and written as one run (Arrow IPC,
memory-mapped when read); a day is the concatenation of its slices of all runs, in order of arrival.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import TracebackType

import polars as pl

from feature_store.atomic_file import storage_error
from feature_store.tables import STORED_SCHEMA
from recommender import terms

DAY = pl.col(terms.TS).dt.date()


class Staging:
    """Runs of accepted rows in a folder of their own, removed when closed.

    Parameters
    ----------
    folder
        Emptied first: what is in it was left by an ingest that was killed.
    run_rows
        Rows held in memory before they are written.
    """

    def __init__(self, folder: Path, run_rows: int) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._folder, self._run_rows = folder, run_rows
        self._waiting: list[pl.DataFrame] = []
        self._waiting_rows = 0
        self._runs: list[Path] = []
        self._slices: dict[date, list[tuple[int, int, int]]] = {}

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, rows: pl.DataFrame) -> None:
        """Take rows of the stored schema."""
        self._waiting.append(rows)
        self._waiting_rows += rows.height
        if self._waiting_rows >= self._run_rows:
            self.flush()

    def flush(self) -> None:
        """Write what waits. To be called once after the last `add`."""
        if not self._waiting_rows:
            return
        run = pl.concat(self._waiting).sort(DAY, maintain_order=True)
        path = self._folder / f"run-{len(self._runs):05d}.arrow"
        try:
            run.write_ipc(path)
        except OSError as error:
            raise storage_error(error, path) from error
        self._note_slices(run)
        self._runs.append(path)
        self._waiting, self._waiting_rows = [], 0

    def days(self) -> dict[date, int]:
        """Rows per day, days ascending."""
        return {day: sum(part[2] for part in self._slices[day]) for day in sorted(self._slices)}

    def read(self, day: date, columns: tuple[str, ...] | None = None) -> pl.DataFrame:
        """Rows of one day in order of arrival; all columns or the ones named."""
        names = list(columns or STORED_SCHEMA.names())
        parts = [
            pl.scan_ipc(self._runs[run]).select(names).slice(offset, rows).collect()
            for run, offset, rows in self._slices.get(day, [])
        ]
        return pl.concat(parts) if parts else pl.DataFrame(schema=STORED_SCHEMA).select(names)

    def _note_slices(self, run: pl.DataFrame) -> None:
        offset = 0
        for day, rows in _run_lengths(run):
            self._slices.setdefault(day, []).append((len(self._runs), offset, rows))
            offset += rows


def _run_lengths(run: pl.DataFrame) -> Iterator[tuple[date, int]]:
    counts = run.group_by(DAY.alias("day"), maintain_order=True).agg(pl.len().alias("rows"))
    return counts.iter_rows()
