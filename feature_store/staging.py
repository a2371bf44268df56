"""Accepted rows of one ingest, parked on disk by day: a source may be larger than memory.

Rows are collected up to `run_rows`, sorted by day and written as a run of small pieces (Arrow IPC).
Reading some consecutive days opens only the pieces that hold them.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Final

import polars as pl

from feature_store.atomic_file import storage_error
from feature_store.tables import DAY, STORED_SCHEMA

# A slice keeps the text of the whole piece in memory, so a piece is small.
PIECE_ROWS: Final = 50_000


@dataclass(frozen=True, slots=True)
class _Piece:
    path: Path
    first: date
    last: date


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
        self._pieces: list[_Piece] = []
        self._days: Counter[date] = Counter()

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
        if rows.is_empty():
            return
        self._waiting.append(rows)
        if sum(waiting.height for waiting in self._waiting) >= self._run_rows:
            self.flush()

    def flush(self) -> None:
        """Write what waits. To be called once after the last `add`."""
        if not self._waiting:
            return
        run = pl.concat(self._waiting)
        self._waiting = []
        self._days.update(dict(run.group_by(DAY).len().iter_rows()))
        # Gathering makes each piece own its text, so it is done per piece.
        order = run.select(pl.arg_sort_by(DAY, maintain_order=True)).to_series()
        for start in range(0, run.height, PIECE_ROWS):
            self._write(run[order.slice(start, PIECE_ROWS)])

    def days(self) -> dict[date, int]:
        """Rows per day, days ascending."""
        return dict(sorted(self._days.items()))

    def read(self, first: date, last: date) -> pl.DataFrame:
        """Rows of the days from `first` to `last`, both included."""
        parts = [
            pl.read_ipc(piece.path).filter(DAY.is_between(first, last))
            for piece in self._pieces
            if piece.first <= last and first <= piece.last
        ]
        return pl.concat(parts) if parts else pl.DataFrame(schema=STORED_SCHEMA)

    def pieces(self, columns: list[str]) -> Iterator[pl.DataFrame]:
        """Some columns of all rows, piece by piece."""
        for piece in self._pieces:
            yield pl.read_ipc(piece.path, columns=columns)

    def _write(self, rows: pl.DataFrame) -> None:
        path = self._folder / f"piece-{len(self._pieces):06d}.arrow"
        try:
            rows.write_ipc(path)
        except OSError as error:
            raise storage_error(error, path) from error
        first, last = rows.select(DAY.first().alias("first"), DAY.last().alias("last")).row(0)
        self._pieces.append(_Piece(path, first, last))
