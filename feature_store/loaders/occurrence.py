"""Ids for rows that have none: what the row says, and which of its likes in the file it is.

Repeated rows are facts and are kept; reading a file again gives the same ids again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from recommender.terms import Int64Array

UInt64Array = npt.NDArray[np.uint64]

DIGEST_BYTES: Final = 16
_SEPARATOR: Final = "\x1f"
_NULL: Final = "\0"


def row_text(name: str, parts: Sequence[pl.Expr]) -> pl.Expr:
    """A row as one text, the format's name first, so that formats never share ids."""
    texts = [pl.lit(name), *(part.cast(pl.String).fill_null(_NULL) for part in parts)]
    return pl.concat_str(texts, separator=_SEPARATOR)


class OccurrenceCounter:
    """Counts equal keys over all batches of a file, exactly.

    Holds 8 bytes per distinct key, and an entry of a dictionary per key that was repeated over
    batches. Keys are equal when 64 bits of their BLAKE2b digest are.
    """

    def __init__(self) -> None:
        self._seen: list[UInt64Array] = []
        self._repeated: dict[int, int] = {}

    def row_ids(self, texts: pl.Series) -> pl.Series:
        """Event ids of rows: 32 hex digits, and ``-1``, ``-2`` and so on for repetitions."""
        digests = _digests(texts)
        number = pl.Series(self.number(_first_64_bits(digests)))
        ids = pl.Series("id", digests, dtype=pl.Binary).bin.encode("hex")
        repeated = pl.concat_str(pl.col("id"), pl.lit("-"), pl.col("number"))
        chosen = pl.when(pl.col("number") > 0).then(repeated).otherwise(pl.col("id"))
        return pl.DataFrame({"id": ids, "number": number}).select(chosen.alias("id")).to_series()

    def positions(self, texts: pl.Series) -> pl.Series:
        """How many equal texts came before each; 0 for the first."""
        return pl.Series(self.number(_first_64_bits(_digests(texts)))).cast(pl.Int32)

    def number(self, keys: UInt64Array) -> Int64Array:
        """How many equal keys came before each, in this and all earlier calls, int64 (n,)."""
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)])
        counts = np.diff(np.r_[starts, len(ordered)])
        distinct = ordered[starts]
        before = self._count_before(distinct)
        numbers = np.empty(len(keys), np.int64)
        numbers[order] = np.arange(len(keys)) - np.repeat(starts - before, counts)
        self._remember(distinct, before, counts)
        return numbers

    def _count_before(self, distinct: UInt64Array) -> Int64Array:
        before = np.zeros(len(distinct), np.int64)
        for run in self._seen:
            slots = np.minimum(np.searchsorted(run, distinct), len(run) - 1)
            before[run[slots] == distinct] = 1
        for index in np.flatnonzero(before):
            before[index] = self._repeated.get(int(distinct[index]), 1)
        return before

    def _remember(self, distinct: UInt64Array, before: Int64Array, counts: Int64Array) -> None:
        many = np.flatnonzero(before + counts > 1)
        totals = (before + counts)[many].tolist()
        self._repeated.update(zip(distinct[many].tolist(), totals, strict=True))
        new = distinct[before == 0]
        # Sorted runs of doubling length: a key is merged a logarithmic number of times.
        while len(new) and self._seen and len(self._seen[-1]) <= 2 * len(new):
            new = np.sort(np.concatenate([self._seen.pop(), new]))
        if len(new):
            self._seen.append(new)


def _digests(texts: pl.Series) -> list[bytes]:
    # A stable hash of its own: polars promises its hashes only within one version.
    return [
        hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()
        for text in texts.fill_null(_NULL).to_list()
    ]


def _first_64_bits(digests: list[bytes]) -> UInt64Array:
    words = np.frombuffer(b"".join(digests), dtype="<u8")
    return words[::2].astype(np.uint64)
