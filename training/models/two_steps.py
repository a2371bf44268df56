"""Items two co-visits away: most of what a visit goes on to was never seen beside what it has seen.

With W the share of each item's neighbours in visits (both directions, nearer steps counting more),
cut to the `reach` strongest of each row, the weight of a pair is that of one step and of two:
``(W + W²)_ij``. On a public log of visits, two
steps held 92 % of the next items, one step 79 %.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from training.models.neighbours import NO_ITEM, NeighbourLists, strongest, strongest_of
from training.models.visits import Visits
from training.sections import TwoStepsSpec

_DISTANCE = 10
_DECAY = 0.7
_ROWS_AT_ONCE = 5_000


def two_steps(visits: Visits, spec: TwoStepsSpec) -> NeighbourLists:
    """Best items within two steps of each item."""
    one = _shares(visits, spec)
    items = one.shape[0]
    parts = (one[start : start + _ROWS_AT_ONCE] for start in range(0, items, _ROWS_AT_ONCE))
    blocks = (sparse.csr_array(rows + rows @ one) for rows in parts)
    found = strongest_of(blocks, items, spec.neighbours)
    free = ((0, 0), (0, spec.neighbours - found.idx.shape[1]))
    return NeighbourLists(
        np.pad(found.idx, free, constant_values=NO_ITEM), np.pad(found.weight, free)
    )


def _shares(visits: Visits, spec: TwoStepsSpec) -> sparse.csr_array:
    """W, float64 (items, items)."""
    near = visits.near_pairs(_DISTANCE, _DECAY)
    both = sparse.csr_array(near + near.T)
    both.setdiag(0)
    both.eliminate_zeros()
    outgoing = np.asarray(both.sum(axis=1)).ravel() + spec.smoothing
    both.data /= np.repeat(outgoing, np.diff(both.indptr))
    best = strongest(both, spec.reach)
    kept = best.idx >= 0
    row = np.nonzero(kept)[0]
    return sparse.csr_array(
        (best.weight[kept].astype(np.float64), (row, best.idx[kept])), shape=both.shape
    )
