"""Digest of a frame's values: equal for equal rows, whatever wrote them."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl


def content_digest(frame: pl.DataFrame) -> str:
    """sha256 (hex) over names, dtypes, null masks and values, row order included.

    Float64 enters as IEEE bits, Datetime as its integer, String as UTF-8 with lengths, Boolean
    as one byte.
    """
    digest = hashlib.sha256(f"rows {frame.height}\n".encode())
    for series in frame.iter_columns():
        digest.update(f"{series.name} {series.dtype}\n".encode())
        digest.update(np.packbits(series.is_null().to_numpy()).tobytes())
        for part in _values(series):
            digest.update(part)
    return digest.hexdigest()


def _values(series: pl.Series) -> tuple[bytes, ...]:
    if series.dtype == pl.String:
        filled = series.fill_null("")
        lengths = filled.str.len_bytes().to_numpy().astype("<u4")
        return lengths.tobytes(), str(filled.str.join("").item()).encode()
    if series.dtype == pl.Boolean:
        return (series.fill_null(value=False).to_numpy().astype(np.uint8).tobytes(),)
    values = series.to_physical().fill_null(0).to_numpy()
    return (np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes(),)
