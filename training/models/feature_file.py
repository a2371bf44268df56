"""Features of many questions, kept in a file: in memory they would be the most of a training.

Fifty thousand questions with two hundred candidates and 120 features each are 4.8 GB.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import lightgbm as lgb
import numpy as np

from recommender.terms import Float32Array, Float64Array

_BYTES: Final = np.dtype(np.float32).itemsize


class FeatureFile:
    """A file without a name, gone when this is closed.

    Parameters
    ----------
    folder
        Where the system that keeps it has room.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # closed by __exit__
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, features: Float32Array) -> FeatureRows:
        """Keep the features of one question, float32 (candidates, features)."""
        rows = FeatureRows(self, self._end, *features.shape)
        self._file.write(np.ascontiguousarray(features, np.float32).data)
        self._end += features.size * _BYTES
        return rows

    def read(self, begin: int, size: int) -> Float32Array:
        """So many numbers from this byte on."""
        self._file.flush()
        found: Float32Array = np.frombuffer(
            os.pread(self._file.fileno(), size * _BYTES, begin), np.float32
        )
        return found


class FeatureRows(lgb.Sequence):  # type: ignore[misc]  # without types
    """Features of one question.

    As a sequence they are in double precision: LightGBM takes its samples in no other.

    Parameters
    ----------
    file
        Where they are, open as long as they are wanted.
    begin
        Byte of the first one.
    """

    def __init__(self, file: FeatureFile, begin: int, rows: int, columns: int) -> None:
        self._file, self._begin = file, begin
        self._rows, self._columns = rows, columns

    def read(self, first: int = 0, count: int | None = None) -> Float32Array:
        """So many rows from this one on, all without a number: float32 (rows, features)."""
        rows = self._rows - first if count is None else count
        begin = self._begin + first * self._columns * _BYTES
        return self._file.read(begin, rows * self._columns).reshape(rows, self._columns)

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, rows: int | slice | list[int]) -> Float64Array:
        if isinstance(rows, int | np.integer):
            row = range(self._rows)[rows]
            one: Float64Array = self.read(row, 1)[0].astype(np.float64)
            return one
        some: Float64Array = self.read()[rows].astype(np.float64)
        return some
