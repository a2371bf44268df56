"""What the ranker looks at: numbers for each candidate, by the same code in training and serving.

Notation: c candidates, m *met* items (distinct items of the shopper's way so far, newest first, at
most `MAX_MET`), s neighbour sources. Missing numbers are NaN. The names of the columns say where
each number comes from; `FeatureMaker.names` has them in order:

``SOURCE.score``, ``SOURCE.share``
    what a source says of the candidate, 0 where it does not propose it; relative to its best one
``SOURCE.last``, ``prev``, ``third``, ``max``
    weight of the candidate in the neighbour list of the item met last, of the two before, of any
``blend``, ``place``
    the blended score, and the 0-based place by it
``als.last``, ``als.way``, ``embedding.cosine_last``, ``embedding.cosine_way``
    cosine of the candidate's factors, its vector with those of the item met last; with the decayed
    mean of all
``encoder.cosine_last``, ``encoder.cosine_way``
    cosine of the candidate with the encoding of the item met last; of the whole way
``met.…``
    how the shopper dealt with the candidate: ``lag`` in moments, ``order`` among distinct items,
    ``first_lag``, ``times``, ``views``, ``carts``, ``purchases``, ``age`` and ``purchase_age`` in
    log seconds, ``in_cart``, ``in_visit``, how often it ``followed`` the item met last before, its
    times ``fading`` by 0.9 and by 0.7 (``fading_fast``) a moment, its ``rate``: times per moment,
    moments ``since`` it, however often others came, the ``gap`` between its two last meetings
``course.…``
    how visits that went back and forth as this one did go on (`recommender.course`): ``share`` that
    does what going to the candidate would be, go to something ``new``, stay with the ``same``
``like.…``
    share of the met items with its category, its brand; its log price minus their mean
``item.…``, ``last.…``
    figures of the candidate, and of the item met last (`training.models.item_stats`)
``way.…``
    the way so far: moments, items, returns, whether the last moment was a return or a repetition,
    ages in log seconds, type of the last event, cart size; after how many steps the last one and
    the one before came back to an item (``last_gap``, ``prev_gap``, 0 where it was new), shares of
    repetitions and returns; size of the pool
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from recommender.candidates.encoder import EncoderSource
from recommender.candidates.neighbours import NeighbourSource, in_parts
from recommender.catalogue import Catalogue
from recommender.feature_parts import Candidates, Lists, Model, Way
from recommender.feature_table import filled, filled_from_lists
from recommender.kept import Kept
from recommender.ranking import Proposed
from recommender.scratch import scratch
from recommender.seeds import PART_CODES, Seeds
from recommender.terms import (
    Float32Array,
    Int32Array,
    Int64Array,
)

MAX_MET: Final = 30
LAGS: Final = ("last", "prev", "third", "max")
MET: Final = (
    *("lag", "order", "first_lag", "times", "views", "carts", "purchases", "age", "purchase_age"),
    *("in_cart", "in_visit", "followed", "fading", "fading_fast", "rate", "since", "gap"),
)
ENCODED: Final = ("encoder.cosine_last", "encoder.cosine_way")
COURSE: Final = ("share", "new", "same")
LIKE: Final = ("category", "brand", "price")
WAY: Final = (
    *("moments", "items", "returns", "returned", "repeated", "last_times", "age", "visit_age"),
    *("visit_moments", "type", "cart", "last_gap", "prev_gap", "repeat_share", "return_share"),
    "pool",
)
_LINES_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class FeatureMaker:
    """Computes the features over the arrays of one model.

    Parameters
    ----------
    sources
        All candidate sources of the model, sorted.
    neighbours
        Those with neighbour lists, by name, sorted.
    stat_names
        Names of the columns of ``model.stats``.
    encoder
        None where the model has none: its columns are 0.
    """

    sources: tuple[str, ...]
    neighbours: Mapping[str, NeighbourSource]
    stat_names: tuple[str, ...]
    model: Model
    encoder: EncoderSource | None = None
    _width: int = field(init=False, repr=False, compare=False)
    _lists: tuple[Lists, ...] = field(init=False, repr=False, compare=False)
    _kept: Kept[tuple[str, ...], Int64Array] = field(
        default_factory=lambda: Kept(_LINES_KEPT), init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        first = 2 * len(self.sources) + 2 + len(ENCODED)
        lists = tuple(
            Lists(first + len(LAGS) * np.arange(part.start, part.stop), idx, weights)
            for part, idx, weights in in_parts(tuple(self.neighbours.values()))
        )
        object.__setattr__(self, "_lists", lists)
        object.__setattr__(self, "_width", len(self.names))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return (
            *(f"{source}.{part}" for source in self.sources for part in ("score", "share")),
            "blend",
            "place",
            *ENCODED,
            *(f"{source}.{lag}" for source in self.neighbours for lag in LAGS),
            "als.last",
            "als.way",
            "embedding.cosine_last",
            "embedding.cosine_way",
            *(f"met.{name}" for name in MET),
            *(f"course.{name}" for name in COURSE),
            *(f"like.{name}" for name in LIKE),
            *(f"{whose}.{name}" for whose in ("item", "last") for name in self.stat_names),
            *(f"way.{name}" for name in WAY),
        )

    def features(self, proposed: Proposed, seeds: Seeds) -> Float32Array:
        """One row per candidate: float32 (c, features), one column behind the other in memory.

        The shopper must have met something; strangers have no ranker, but the ladder.
        """
        way, lines = way_of(seeds), self._lines(proposed.sources)
        candidates = Candidates(proposed.item_idx, proposed.scores, proposed.shares, lines)
        table = np.zeros((self._width, len(candidates.item_idx)), np.float32)
        line = self._from_blend(table, proposed)
        line = self._from_encoder(table, line, candidates.item_idx, way)
        place = scratch("candidate_row", len(self.model.category), np.int32)
        for lists in self._lists:
            filled_from_lists(table, candidates.item_idx, way, lists, place)
        line += len(LAGS) * len(self.neighbours)
        filled(table, line, candidates, way, self.model, place)
        table[-1] = proposed.pool
        return table.T

    def _lines(self, sources: tuple[str, ...]) -> Int64Array:
        """Where each source has its two lines, int64 (sources,)."""
        if (lines := self._kept.get(sources)) is None:
            lines = np.array([2 * self.sources.index(name) for name in sources], np.int64)
            self._kept.keep(sources, lines)
        return lines

    def _from_blend(self, table: Float32Array, proposed: Proposed) -> int:
        line = 2 * len(self.sources)
        table[line] = proposed.blend
        table[line + 1] = np.arange(table.shape[1])
        return line + 2

    def _from_encoder(self, table: Float32Array, line: int, item_idx: Int32Array, way: Way) -> int:
        if self.encoder is not None:
            vectors = self.encoder.vectors.take(item_idx, 0)
            np.matmul(vectors, self.encoder.vectors[way.met[0]], table[line])
            np.matmul(vectors, self.encoder.encode(way.met, way.lags), table[line + 1])
        return line + len(ENCODED)


def way_of(seeds: Seeds) -> Way:
    """The way so far of seeds that are in the order of `recommender.pipeline`."""
    steps = seeds.steps()
    met, lags = steps.distinct(MAX_MET)
    return Way(
        steps.item_idx,
        steps.event_codes,
        steps.ages,
        steps.parts != PART_CODES["history"],
        met,
        lags,
        seeds.item_idx[seeds.parts == PART_CODES["cart"]],
    )


def log_prices(catalogue: Catalogue) -> Float32Array:
    """float32 (items,), NaN where there is no price."""
    price = catalogue.item_price
    known = price > 0
    found: Float32Array = np.full(len(price), np.nan, np.float32)
    found[known] = np.log(price[known])
    return found


def norms(factors: Float32Array) -> Float32Array:
    """Length of each row, float32 (items,)."""
    found: Float32Array = np.sqrt(np.einsum("if,if->i", factors, factors)).astype(np.float32)
    return found
