"""Recall@k and nDCG@k as the papers on LightGCN's splits compute them.

Recall@k = hits in the first k / all test items of the user, not capped at k. nDCG@k = Σ hits
1 / log2(1 + rank), over what min(k, test items) hits at the top would give. Items of the training
lists are masked. Both are means over users with test items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recommender.terms import BoolArray, Float32Array, Int32Array, Int64Array

CUTS = (1, 5, 10, 20, 50)
_USERS_AT_ONCE = 500

Scorer = Callable[[Int64Array], Float32Array]
"""Scores of all items for some users: int64 (b,) → float32 (b, items), a new array each time."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over users, by k."""

    recall: dict[int, float]
    ndcg: dict[int, float]


@dataclass(frozen=True, slots=True)
class Questions:
    """Whom to ask, what they have, and what they are to be shown.

    Parameters
    ----------
    known
        Training items, float32 (users, items); never recommended.
    wanted
        Test items, float32 (users, items).
    users
        Users that are asked, each with test items, int64 (n,).
    """

    known: sparse.csr_array
    wanted: sparse.csr_array
    users: Int64Array

    def blocks(self) -> Iterator[Int64Array]:
        """The users, a few at a time."""
        for start in range(0, len(self.users), _USERS_AT_ONCE):
            yield self.users[start : start + _USERS_AT_ONCE]

    def ask(self, scorer: Scorer) -> Quality:
        """Rank for every user and compare."""
        hits = [self.hits(users, scorer(users)) for users in self.blocks()]
        return self._quality(hits)

    def ask_mixes(
        self, parts: Sequence[Scorer], mixes: Mapping[str, Sequence[float]]
    ) -> dict[str, Quality]:
        """The same for weighted sums of scores that are standardised over the items of each user.

        Parameters
        ----------
        mixes
            A weight of each part, by name of the mix; the parts are scored once for all of them.
        """
        hits: dict[str, list[BoolArray]] = {name: [] for name in mixes}
        for users in self.blocks():
            scores = [standardised(part(users)) for part in parts]
            for name, weights in mixes.items():
                hits[name].append(self.hits(users, weighted(scores, weights)))
        return {name: self._quality(found) for name, found in hits.items()}

    def hits(self, users: Int64Array, scores: Float32Array) -> BoolArray:
        """Which places of the users' lists are right, bool (b, 50); overwrites known scores."""
        known = self.known[users]
        rows = np.repeat(np.arange(len(users)), np.diff(known.indptr))
        scores[rows, known.indices] = -np.inf
        ranked = best(scores, CUTS[-1])
        wanted = self.wanted[users].toarray() > 0
        found: BoolArray = np.take_along_axis(wanted, ranked, axis=1)
        return found

    def _quality(self, hits: Sequence[BoolArray]) -> Quality:
        return quality(np.concatenate(hits), np.diff(self.wanted.indptr)[self.users])


def standardised(scores: Float32Array) -> Float32Array:
    """Mean 0 and deviation 1 along each row, in place; a flat row becomes 0."""
    scores -= scores.mean(axis=1, keepdims=True)
    spread = scores.std(axis=1, keepdims=True)
    scores /= np.where(spread > 0, spread, 1)
    return scores


def weighted(scores: Sequence[Float32Array], weights: Sequence[float]) -> Float32Array:
    """Weighted sum of arrays of one shape, as a new one."""
    total = np.zeros_like(scores[0])
    for part, weight in zip(scores, weights, strict=True):
        if weight:
            total += np.float32(weight) * part
    return total


def best(scores: Float32Array, k: int) -> Int32Array:
    """Columns of the k largest of each row, largest first, int (rows, ≤ k)."""
    width = min(k, scores.shape[1])
    chosen = np.sort(np.argpartition(-scores, width - 1, axis=1)[:, :width], axis=1)
    order = np.argsort(-np.take_along_axis(scores, chosen, axis=1), axis=1, kind="stable")
    ranked: Int32Array = np.take_along_axis(chosen, order, axis=1)
    return ranked


def quality(hits: BoolArray, wanted: Int64Array) -> Quality:
    """Metrics at every cut from hits (n, width) and numbers of test items (n,)."""
    discount = 1 / np.log2(np.arange(max(CUTS)) + 2)
    ideal = np.cumsum(discount)
    recall, ndcg = {}, {}
    for k in CUTS:
        found = hits[:, :k]
        recall[k] = float((found.sum(axis=1) / wanted).mean())
        gained = found @ discount[: found.shape[1]]
        ndcg[k] = float((gained / ideal[np.minimum(wanted, k) - 1]).mean())
    return Quality(recall, ndcg)
