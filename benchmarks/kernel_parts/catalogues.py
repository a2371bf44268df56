"""Catalogues to search: factors that `implicit` learnt, or vectors made up around such ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.kernel_parts.clicks import clicks
from recommender.candidates.als import AlsSource
from recommender.seeds import Seeds
from recommender.terms import EVENT_CODES, VIEW_ITEM, Float32Array
from training.models.als import factorise
from training.sections import AlsSpec

_ALPHA, _REGULARIZATION, _ITERATIONS = 10.0, 0.05, 10
_SHOPPERS_AN_ITEM, _CLICKS_AN_ITEM = 0.6, 24
_HISTORY = 10


@dataclass(frozen=True)
class Catalogue:
    """Vectors and what they are asked.

    Parameters
    ----------
    name
        Says where the vectors are from.
    vectors
        float32 (items, factors).
    queries
        float32 (queries, factors).
    """

    name: str
    vectors: Float32Array
    queries: Float32Array


@dataclass(frozen=True)
class Learnt:
    """A factor model and what some of its shoppers clicked on."""

    source: AlsSource
    histories: tuple[Seeds, ...]

    def catalogue(self) -> Catalogue:
        """The factors, asked by shoppers folded in."""
        queries = np.stack([self.source.fold_in(seeds) for seeds in self.histories])
        return Catalogue("als", self.source.item_factors, queries)


def learnt(items: int, factors: int, queries: int, seed: int) -> Learnt:
    """Factors of simulated clicks, by the function that training uses."""
    rng = np.random.default_rng(seed)
    shoppers, count = round(items * _SHOPPERS_AN_ITEM), round(items * _CLICKS_AN_ITEM)
    user_items = clicks(shoppers, items, count, rng)
    spec = AlsSpec(factors, _REGULARIZATION, 0.0, _ALPHA, _ITERATIONS, seed)
    found = factorise(user_items, spec)
    asked = rng.permutation(np.flatnonzero(np.diff(user_items.indptr)))[:queries]
    histories = tuple(_seeds(user_items[row].indices, rng) for row in asked.tolist())
    return Learnt(AlsSource(found.item_factors, found.inverse, _ALPHA), histories)


def made_up(like: Catalogue, items: int, seed: int) -> Catalogue:
    """More items, each near one of a learnt catalogue: as far off as a tenth of its length."""
    rng = np.random.default_rng(seed)
    known, factors = like.vectors, like.vectors.shape[1]
    found = known[rng.integers(0, len(known), items)]
    found *= rng.lognormal(0, 0.2, (items, 1)).astype(np.float32)
    spread = 0.1 * np.linalg.norm(found, axis=1, keepdims=True) / np.sqrt(factors)
    for begin in range(0, items, 100_000):
        part = found[begin : begin + 100_000]
        part += spread[begin : begin + 100_000] * rng.standard_normal(part.shape, np.float32)
    return Catalogue("made up around als", found, like.queries)


def directions(like: Catalogue) -> Catalogue:
    """The same vectors, all of length 1 (or 0), as those of the encoder: nothing to stop by."""
    found, queries = (
        (each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-12)).astype(np.float32)
        for each in (like.vectors, like.queries)
    )
    return Catalogue("als, length 1", found, queries)


def _seeds(items: np.ndarray, rng: np.random.Generator) -> Seeds:
    chosen = np.sort(rng.permutation(items)[:_HISTORY]).astype(np.int32)
    n = len(chosen)
    code = np.full(n, EVENT_CODES[VIEW_ITEM], np.int32)
    return Seeds(
        chosen, code, np.ones(n, np.float32), np.zeros(n, np.float32), np.ones(n, np.int32)
    )
