"""How much each candidate source counts: weights learnt on the validation period.

For every validation shopper the pipeline's own candidates and normalised scores are computed once;
a set of weights is then one small product away from its nDCG, so the weights are found by
coordinate ascent on nDCG@20 itself: one weight at a time over a grid of factors, from several
starts, until none of them helps. The scores are those of `recommender.ranking.blend` with
every weight at 1; the test period is never looked at.

Notation: s sources, q queries, c candidates of the query that has most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from recommender.bundle import ModelBundle
from recommender.compiled import kernel
from recommender.pipeline import find_seeds, propose
from recommender.placements import Placement
from recommender.query import Query
from recommender.ranking import blend
from recommender.read_only import read_only
from recommender.rules import eligible_items
from recommender.terms import BoolArray, Float32Array, Float64Array, Int64Array

K = 20
_FACTORS = (0.0, 0.3, 0.7, 1.4, 3.0)
_SMALLEST = 0.05  # what a weight of 0 is tried at, as a share of the largest
_GAIN = 1e-5
_MAX_ROUNDS = 12


@dataclass(frozen=True, slots=True)
class ScoredCandidates:
    """Candidates of all queries.

    Parameters
    ----------
    sources
        Names of the sources.
    parts
        Normalised score that each source gives, float32 (s, q, c); 0 where there is no candidate.
    is_target
        Where the candidate is right, bool (q, c).
    targets
        How many items are right in each query, found or not, int64 (q,).
    """

    sources: tuple[str, ...]
    parts: Float32Array
    is_target: BoolArray
    targets: Int64Array

    def scores(self, weights: Float64Array) -> Float32Array:
        """Weighted scores, float32 (q, c)."""
        blended: Float32Array = np.tensordot(weights.astype(np.float32), self.parts, axes=1)
        return blended

    def ndcg(self, scores: Float32Array, k: int = K) -> float:
        """Mean nDCG@k of the rankings by these scores."""
        discount = 1 / np.log2(np.arange(k) + 2)
        ideal = np.cumsum(discount)[np.minimum(self.targets, k) - 1]
        width = min(k, scores.shape[1])
        hits, is_tied = _hits(read_only(scores), read_only(self.is_target), width)
        if is_tied.any():
            hits[is_tied] = _sorted_hits(scores[is_tied], self.is_target[is_tied], width)
        return float((hits @ discount[:width] / ideal).mean())


@kernel
def _hits(scores: Float32Array, is_target: BoolArray, width: int) -> tuple[BoolArray, BoolArray]:
    """Which of the best candidates are right, best first, bool (q, width), and what ties leave.

    A right one stands behind those that score more. A search makes thousands of such orders, and
    few candidates of a query are right: counting for one after the other, the best first, until
    one is beyond the list takes a fraction of the time of sorting.

    Returns
    -------
    The second is bool (q,): a right candidate scores as a wrong one does, so that its place is
    what `_sorted_hits` says.
    """
    found = np.zeros((scores.shape[0], width), np.bool_)
    is_tied = np.zeros(scores.shape[0], np.bool_)
    for query in range(scores.shape[0]):
        row = scores[query]
        wanted = np.sort(row[is_target[query]])[::-1]
        place = 0
        while place < len(wanted):
            right = 1
            while place + right < len(wanted) and wanted[place + right] == wanted[place]:
                right += 1
            above, not_below = _standing(row, wanted[place])
            if above >= width:
                break
            is_tied[query] |= right < not_below - above
            found[query, above : min(above + right, width)] = True
            place += right
    return found, is_tied


@kernel
def _standing(scores: Float32Array, score: np.float32) -> tuple[int, int]:
    """How many scores are above this one, and how many not below."""
    above, not_below = np.int32(0), np.int32(0)
    for other in scores:
        # All in 32 bits, or a processor does it for half as many at once.
        above = np.int32(above + np.int32(other > score))
        not_below = np.int32(not_below + np.int32(other >= score))
    return int(above), int(not_below)


def _sorted_hits(scores: Float32Array, is_target: BoolArray, width: int) -> BoolArray:
    """Which of the best candidates are right, best first, bool (q, width)."""
    best = np.argpartition(-scores, width - 1, axis=1)[:, :width]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
    hits: BoolArray = np.take_along_axis(is_target, np.take_along_axis(best, order, axis=1), axis=1)
    return hits


def score_candidates(
    bundle: ModelBundle,
    placement: Placement,
    queries: Sequence[Query],
    targets: Sequence[frozenset[str]],
) -> ScoredCandidates:
    """Run the pipeline's first half for each query.

    Queries without any candidate (unknown shoppers) are the ladder's, not the blend's, and are left
    out.
    """
    # One thread: small systems are solved here, and BLAS threads would mostly wait for each other.
    with threadpool_limits(1, "blas"):
        return _score_candidates(bundle, placement, queries, targets)


def learn_weights(
    candidates: ScoredCandidates,
    fallback: Mapping[str, float],
    *,
    restarts: int,
    seed: int,
    k: int = K,
) -> dict[str, float]:
    """Weights with the best nDCG@k found; the largest is 1, rounded to 4 decimals.

    A source that proposed nothing (the placement does not ask it, no shopper had what it starts
    from) cannot be weighed: it is not in the result.

    Parameters
    ----------
    fallback
        Where the search starts, and what to return (for the sources there are) when no query has
        candidates.
    restarts
        Starts of the search: `fallback`, then each source's own strength, then random ones.
    k
        20 for lists that are shown; the size of the shortlist for those that a ranker orders.
    """
    if not len(candidates.targets):
        return {name: fallback.get(name, 0.0) for name in candidates.sources}
    candidates = _heard(candidates)
    begin = np.array([fallback.get(name, 0.0) for name in candidates.sources])
    best, best_value = begin, -1.0
    # One thread: sums in a fixed order, so that the same input gives the same weights.
    with threadpool_limits(1, "blas"):
        for start in _starts(candidates, begin, restarts, seed):
            weights, value = _ascend(candidates, start, k)
            if value > best_value + _GAIN:
                best, best_value = weights, value
    rounded = np.round(best / best.max(), 4)
    return dict(zip(candidates.sources, rounded.tolist(), strict=True))


def _score_candidates(
    bundle: ModelBundle,
    placement: Placement,
    queries: Sequence[Query],
    targets: Sequence[frozenset[str]],
) -> ScoredCandidates:
    sources = tuple(sorted(bundle.sources))
    ones = dict.fromkeys(sources, 1.0)
    parts: list[Float32Array] = []
    rights: list[BoolArray] = []
    sizes: list[int] = []
    for query, wanted in zip(queries, targets, strict=True):
        _, seeds = find_seeds(query, bundle, placement)
        eligibility = eligible_items(query, bundle.catalogue, placement)
        pool = blend(propose(seeds, bundle, placement, eligibility), ones)
        if not len(pool):
            continue
        pool = replace(pool, item_idx=np.sort(pool.item_idx))
        spread = np.zeros((len(sources), len(pool)), np.float32)
        spread[[sources.index(name) for name in pool.proposals.names]] = pool.shares()[1]
        parts.append(spread)
        rights.append(np.isin(pool.item_idx, bundle.catalogue.ids.indices(wanted)))
        sizes.append(len(wanted))
    return _stack(sources, parts, rights, sizes)


def _heard(candidates: ScoredCandidates) -> ScoredCandidates:
    """Only the sources that proposed something."""
    heard = np.flatnonzero(candidates.parts.any(axis=(1, 2)))
    names = tuple(candidates.sources[source] for source in heard)
    return replace(candidates, sources=names, parts=candidates.parts[heard])


def _stack(
    sources: tuple[str, ...],
    parts: list[Float32Array],
    rights: list[BoolArray],
    sizes: list[int],
) -> ScoredCandidates:
    width = max((part.shape[1] for part in parts), default=0)
    stacked = np.zeros((len(sources), len(parts), width), np.float32)
    is_target = np.zeros((len(parts), width), np.bool_)
    for query_idx, (part, right) in enumerate(zip(parts, rights, strict=True)):
        stacked[:, query_idx, : part.shape[1]] = part
        is_target[query_idx, : len(right)] = right
    return ScoredCandidates(sources, stacked, is_target, np.array(sizes, np.int64))


def _starts(
    candidates: ScoredCandidates, begin: Float64Array, restarts: int, seed: int
) -> list[Float64Array]:
    rng = np.random.default_rng(seed)
    alone = np.array([candidates.ndcg(part) for part in candidates.parts])
    starts = [begin, alone**2, *(rng.random(len(begin)) ** 2 for _ in range(restarts - 2))]
    return [start if start.any() else np.ones(len(begin)) for start in starts[:restarts]]


def _ascend(
    candidates: ScoredCandidates, start: Float64Array, k: int
) -> tuple[Float64Array, float]:
    weights = start / start.max()
    value = candidates.ndcg(candidates.scores(weights), k)
    for _ in range(_MAX_ROUNDS):
        before = value
        for source in range(len(weights)):
            weights, value = _best_factor(candidates, weights, value, (source, k))
        if value - before < _GAIN:
            break
    return weights, value


def _best_factor(
    candidates: ScoredCandidates, weights: Float64Array, value: float, at: tuple[int, int]
) -> tuple[Float64Array, float]:
    source, k = at
    own = weights[source] or _SMALLEST * weights.max()
    best, scores = weights, candidates.scores(weights)
    for factor in _FACTORS:
        tried = weights.copy()
        tried[source] = own * factor
        if not tried.any():
            continue
        moved = scores + np.float32(tried[source] - weights[source]) * candidates.parts[source]
        if (found := candidates.ndcg(moved, k)) > value + _GAIN:
            best, value = tried, found
    return best, value
