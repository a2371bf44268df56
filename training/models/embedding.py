"""Item vectors from who stands beside whom in visits: a factorised table of associations.

With n_ij the pairs of items near each other in visits (both directions, nearer ones counting more),
n_i the sums of its rows and p_j ∝ n_j^0.75, the table is the
shifted positive pointwise mutual information

    m_ij = max(0, log(n_ij / (n_i p_j)) + shift),

and the vectors are its leading left singular vectors, each times the root of its singular value:
what skip-gram with negative sampling factorises implicitly (Levy, Goldberg 2014, "Neural word
embedding as implicit matrix factorization"; smoothed contexts: Levy, Goldberg, Dagan 2015). Items
that were never seen together are near each other where they are seen beside the same others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recommender.terms import Float32Array, Float64Array
from training.models.neighbours import NeighbourLists, strongest_of
from training.models.visits import Visits
from training.sections import EmbeddingSpec

_SMOOTHING = 0.75
_ROWS_AT_ONCE = 500
_OVERSAMPLED = 10
_POWER_STEPS = 4


@dataclass(frozen=True, slots=True)
class Embedding:
    """Item vectors and the lists made from them.

    Parameters
    ----------
    vectors
        Rows of length 1, or 0 for an item that stands beside nothing; float32 (items, factors).
    lists
        Nearest items by cosine.
    """

    vectors: Float32Array
    lists: NeighbourLists


def embed(visits: Visits, spec: EmbeddingSpec) -> Embedding | None:
    """Learn the vectors; None where no two items were seen together."""
    table = associations(visits, spec)
    factors = min(spec.factors, min(table.shape) - 1)
    if factors < 1 or not table.nnz:
        return None
    vectors = _unit(_leading(table, factors, spec.seed))
    return Embedding(vectors, _nearest(vectors, spec.neighbours))


def associations(visits: Visits, spec: EmbeddingSpec) -> sparse.csr_array:
    """The table of the module, float64 (items, items)."""
    near = visits.near_pairs(spec.max_distance, spec.position_decay)
    both = sparse.csr_array(near + near.T)
    both.setdiag(0)
    both.eliminate_zeros()
    total = np.asarray(both.sum(axis=1)).ravel()
    common = total**_SMOOTHING
    common /= max(common.sum(), 1e-12)
    row = np.repeat(np.arange(both.shape[0]), np.diff(both.indptr))
    information = np.log(both.data / (total[row] * common[both.indices])) + spec.shift
    both.data = np.maximum(information, 0.0)
    both.eliminate_zeros()
    return both


def _leading(table: sparse.csr_array, factors: int, seed: int) -> Float64Array:
    """Leading left singular vectors times the roots of their values, float64 (items, factors).

    By a random sketch and power iterations (Halko, Martinsson and Tropp 2011, algorithms 4.4 and
    5.1): ARPACK starts again at random where the rank is low, so the same visits would not give the
    same vectors.
    """
    items = table.shape[0]
    width = min(factors + _OVERSAMPLED, items)
    sketch = np.random.default_rng(seed).standard_normal((items, width))
    basis, _ = np.linalg.qr(table @ sketch)
    for _ in range(_POWER_STEPS):
        other, _ = np.linalg.qr(table.T @ basis)
        basis, _ = np.linalg.qr(table @ other)
    left, strength, _ = np.linalg.svd((table.T @ basis).T, full_matrices=False)
    found: Float64Array = (basis @ left)[:, :factors] * np.sqrt(strength[:factors])
    return found


def _nearest(vectors: Float32Array, width: int) -> NeighbourLists:
    width = min(width, len(vectors) - 1)
    return strongest_of(_cosines(vectors), len(vectors), width)


def _cosines(vectors: Float32Array) -> Iterator[Float32Array]:
    """Rows of cosines in order, a block at a time."""
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        yield vectors[start : start + _ROWS_AT_ONCE] @ vectors.T


def _unit(vectors: np.ndarray) -> Float32Array:
    length = np.sqrt((vectors**2).sum(axis=1, keepdims=True))
    # What is numerically nothing has no direction.
    known = length > 1e-6 * max(float(length.max(initial=0)), 1e-12)
    unit: Float32Array = np.where(known, vectors / np.maximum(length, 1e-12), 0).astype(np.float32)
    return unit
