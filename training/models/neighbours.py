"""Neighbour lists: the best few of each row of a weight matrix, as arrays of fixed width."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender.candidates.best import keep_best, ordered
from recommender.compiled import kernel
from recommender.terms import Float32Array, Int32Array, Int64Array

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
        float (items, items), no place twice. Weights that are equal as float32 are ordered by
        column.
    """
    items = weights.shape[0]
    starts = range(0, items, _ROWS_AT_ONCE)
    return strongest_of((weights[at : at + _ROWS_AT_ONCE] for at in starts), items, width)


def strongest_of(
    blocks: Iterable[sparse.csr_array | Float32Array], items: int, width: int
) -> NeighbourLists:
    """`strongest` of a matrix that comes as blocks of rows, in order: it need not exist whole."""
    idx = np.full((items, width), NO_ITEM, np.int32)
    weight = np.zeros((items, width), np.float32)
    start = 0
    for rows in blocks:
        stop = start + rows.shape[0]
        # Ranked after rounding: two weights that float32 cannot tell apart are a tie.
        if isinstance(rows, np.ndarray):
            _fill_dense(rows.astype(np.float32), start, idx[start:stop], weight[start:stop])
        else:
            columns, values = rows.indices.astype(np.int32), rows.data.astype(np.float32)
            bounds = rows.indptr.astype(np.int64)
            _fill(bounds, columns, values, start, idx[start:stop], weight[start:stop])
        start = stop
    used = max(1, int((idx != NO_ITEM).sum(axis=1).max(initial=0)))
    return NeighbourLists(
        np.ascontiguousarray(idx[:, :used]), np.ascontiguousarray(weight[:, :used])
    )


@kernel
def _fill(
    bounds: Int64Array,
    columns: Int32Array,
    values: Float32Array,
    first: int,
    idx: Int32Array,
    weight: Float32Array,
) -> None:
    for row in range(len(idx)):
        part = slice(bounds[row], bounds[row + 1])
        _fill_row(columns[part], values[part], first + row, idx[row], weight[row])


@kernel
def _fill_dense(values: Float32Array, first: int, idx: Int32Array, weight: Float32Array) -> None:
    columns = np.arange(values.shape[1]).astype(np.int32)
    for row in range(len(idx)):
        _fill_row(columns, values[row], first + row, idx[row], weight[row])


@kernel
def _fill_row(
    columns: Int32Array, values: Float32Array, own: int, idx: Int32Array, weight: Float32Array
) -> None:
    for place in range(len(columns)):
        if columns[place] == own:
            values[place] = 0
    count = keep_best(columns, values, idx, weight)
    idx[:count], weight[:count] = ordered(idx[:count], weight[:count])
