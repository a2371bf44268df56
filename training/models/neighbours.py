"""Neighbour lists: the best few of each row of a weight matrix, as arrays of fixed width."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender.terms import Float32Array, Int32Array

NO_ITEM = -1
_ROWS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class NeighbourLists:
    """Neighbours of each item, best first.

    Parameters
    ----------
    idx
        int32 (items, width), padded with -1.
    weight
        float32 (items, width), positive, falling along a row; padded with 0.
    """

    idx: Int32Array
    weight: Float32Array

    def arrays(self, source: str) -> dict[str, npt.NDArray[np.generic]]:
        """The arrays under the names that a bundle gives them."""
        return {f"neighbours_{source}_idx": self.idx, f"neighbours_{source}_weight": self.weight}


def strongest(weights: sparse.csr_array, width: int) -> NeighbourLists:
    """The `width` largest positive weights of each row, the diagonal left out.

    Parameters
    ----------
    weights
        float (items, items), canonical. Equal weights are ordered by column.
    """
    items = weights.shape[0]
    starts = range(0, items, _ROWS_AT_ONCE)
    return strongest_of((weights[at : at + _ROWS_AT_ONCE] for at in starts), items, width)


def strongest_of(blocks: Iterable[sparse.csr_array], items: int, width: int) -> NeighbourLists:
    """`strongest` of a matrix that comes as blocks of rows, in order: it need not exist whole."""
    idx = np.full((items, width), NO_ITEM, np.int32)
    weight = np.zeros((items, width), np.float32)
    start = 0
    for rows in blocks:
        stop = start + rows.shape[0]
        _fill(rows, start, idx[start:stop], weight[start:stop])
        start = stop
    used = max(1, int((idx != NO_ITEM).sum(axis=1).max(initial=0)))
    return NeighbourLists(
        np.ascontiguousarray(idx[:, :used]), np.ascontiguousarray(weight[:, :used])
    )


def _fill(rows: sparse.csr_array, first: int, idx: Int32Array, weight: Float32Array) -> None:
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    # Ranked after rounding: two weights that float32 cannot tell apart are a tie.
    values = rows.data.astype(np.float32)
    kept = np.flatnonzero((values > 0) & (rows.indices != row + first))
    order = kept[np.lexsort((rows.indices[kept], -values[kept], row[kept]))]
    sorted_rows = row[order]
    starts = np.searchsorted(sorted_rows, np.arange(rows.shape[0]))
    rank = np.arange(len(order)) - starts[sorted_rows]
    best = rank < idx.shape[1]
    idx[sorted_rows[best], rank[best]] = rows.indices[order[best]]
    weight[sorted_rows[best], rank[best]] = values[order[best]]
