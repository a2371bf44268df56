"""Digest of a frame's values: equal for equal rows, whatever wrote them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import polars as pl

from recommender.terms import Int64Array, Uint8Array


class Content:
    """The values of a frame as flat bytes, ready to be digested range by range.

    Float64 enters as IEEE bits, Datetime as its integer, String as UTF-8 and its lengths, Boolean
    and the null mask as one byte per row; all little endian.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        self._columns = [_Column(series) for series in frame.iter_columns()]

    def digest(self, start: int, stop: int) -> str:
        """sha256 (hex) over names, dtypes, nulls and values of a range of rows, in row order."""
        digest = hashlib.sha256(f"rows {stop - start}\n".encode())
        for column in self._columns:
            for part in column.parts(start, stop):
                digest.update(part)
        return digest.hexdigest()


def content_digest(frame: pl.DataFrame) -> str:
    """sha256 (hex) of a whole frame."""
    return Content(frame).digest(0, frame.height)


class _Column:
    """One column: a null mask, values of a fixed width, and for texts their joined bytes."""

    def __init__(self, series: pl.Series) -> None:
        self._head = f"{series.name} {series.dtype}\n".encode()
        self._nulls: Uint8Array = series.is_null().to_numpy().astype(np.uint8)
        self._text: bytes | None = None
        self._offsets: Int64Array = np.zeros(series.len() + 1, np.int64)
        if series.dtype == pl.String:
            self._values = series.str.len_bytes().fill_null(0).to_numpy().astype("<u4")
            np.cumsum(self._values, out=self._offsets[1:])
            self._text = (series.str.join("").item() or "").encode()
        else:
            zero = False if series.dtype == pl.Boolean else 0
            filled = series.to_physical().fill_null(zero).to_numpy()
            self._values = filled.astype(filled.dtype.newbyteorder("<"))

    def parts(self, start: int, stop: int) -> Iterator[bytes | memoryview]:
        """Bytes of a range of rows; a column without any value gives its null mask only."""
        nulls = self._nulls[start:stop]
        yield self._head
        yield nulls.tobytes()
        if nulls.all():
            return
        yield self._values[start:stop].tobytes()
        if self._text is not None:
            yield memoryview(self._text)[self._offsets[start] : self._offsets[stop]]
