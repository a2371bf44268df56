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

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from recommender.candidates.encoder import EncoderSource
from recommender.catalogue import Catalogue
from recommender.compiled import kernel
from recommender.ranking import Proposed
from recommender.scratch import scratch
from recommender.seeds import PART_CODES, Seeds
from recommender.terms import (
    ADD_TO_CART,
    EVENT_CODES,
    PURCHASE,
    VIEW_ITEM,
    BoolArray,
    Float32Array,
    Int32Array,
)

MAX_MET: Final = 30
LAGS: Final = ("last", "prev", "third", "max")
MET: Final = (
    *("lag", "order", "first_lag", "times", "views", "carts", "purchases", "age", "purchase_age"),
    *("in_cart", "in_visit", "followed", "fading", "fading_fast", "rate", "since", "gap"),
)
ENCODED: Final = ("encoder.cosine_last", "encoder.cosine_way")
LIKE: Final = ("category", "brand", "price")
WAY: Final = (
    *("moments", "items", "returns", "returned", "repeated", "last_times", "age", "visit_age"),
    *("visit_moments", "type", "cart", "last_gap", "prev_gap", "repeat_share", "return_share"),
    "pool",
)
_FAR = np.float32(99)
_WAY_DECAY = np.float32(0.75)
_VIEW, _CART, _PURCHASE = (EVENT_CODES[name] for name in (VIEW_ITEM, ADD_TO_CART, PURCHASE))


class Model(NamedTuple):
    """The arrays of a model that features come from.

    Parameters
    ----------
    idx, weight
        Neighbour lists of all sources side by side, so that an item's are one piece of memory:
        int32 and float32 (items, width of all), padded with -1 and 0 within each source.
    bounds
        Columns of each source, int32 (s + 1,).
    factors, factor_norm
        float32 (items, f) and (items,), see `recommender.candidates.als`.
    vectors, vector_norm
        float32 (items, v) and (items,), see `training.models.embedding`.
    stats
        float32 (items, figures).
    category, brand
        int32 (items,), -1 where there is none.
    log_price
        float32 (items,), NaN where there is none.
    """

    idx: Int32Array
    weight: Float32Array
    bounds: Int32Array
    factors: Float32Array
    factor_norm: Float32Array
    vectors: Float32Array
    vector_norm: Float32Array
    stats: Float32Array
    category: Int32Array
    brand: Int32Array
    log_price: Float32Array


class Way(NamedTuple):
    """The shopper's way so far: one entry per event, oldest first, and per met item, newest first.

    Parameters
    ----------
    events
        Item of each event, int32 (n,).
    codes
        Event type of each, int32 (n,).
    ages
        Seconds before the moment of asking, float32 (n,).
    in_visit
        Part of the running visit or the page, bool (n,).
    met
        Distinct items, int32 (m,).
    lags
        Moments since each was met last, int32 (m,).
    cart
        Items in the cart, int32 (cart,).
    """

    events: Int32Array
    codes: Int32Array
    ages: Float32Array
    in_visit: BoolArray
    met: Int32Array
    lags: Int32Array
    cart: Int32Array


@dataclass(frozen=True, slots=True)
class FeatureMaker:
    """Computes the features over the arrays of one model.

    Parameters
    ----------
    sources
        All candidate sources of the model, sorted.
    neighbour_sources
        Those with neighbour lists, in the order of ``model.bounds``.
    stat_names
        Names of the columns of ``model.stats``.
    encoder
        None where the model has none: its columns are 0.
    """

    sources: tuple[str, ...]
    neighbour_sources: tuple[str, ...]
    stat_names: tuple[str, ...]
    model: Model
    encoder: EncoderSource | None = None
    _width: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_width", len(self.names))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return (
            *(f"{source}.{part}" for source in self.sources for part in ("score", "share")),
            "blend",
            "place",
            *ENCODED,
            *(f"{source}.{lag}" for source in self.neighbour_sources for lag in LAGS),
            "als.last",
            "als.way",
            "embedding.cosine_last",
            "embedding.cosine_way",
            *(f"met.{name}" for name in MET),
            *(f"like.{name}" for name in LIKE),
            *(f"{whose}.{name}" for whose in ("item", "last") for name in self.stat_names),
            *(f"way.{name}" for name in WAY),
        )

    def features(self, proposed: Proposed, seeds: Seeds) -> Float32Array:
        """One row per candidate: float32 (c, features), C-contiguous.

        The shopper must have met something; strangers have no ranker, but the ladder.
        """
        rows = np.zeros((len(proposed.item_idx), self._width), np.float32)
        column = self._from_sources(rows, proposed)
        way = way_of(seeds)
        column = self._from_encoder(rows, column, proposed.item_idx, way)
        place = scratch("candidate_row", len(self.model.category), np.int32)
        _fill(rows, column, proposed.item_idx, way, self.model, place)
        rows[:, -1] = proposed.pool
        return rows

    def _from_sources(self, rows: Float32Array, proposed: Proposed) -> int:
        for number, source in enumerate(proposed.sources):
            column = 2 * self.sources.index(source)
            rows[:, column] = proposed.scores[number]
            rows[:, column + 1] = proposed.shares[number]
        column = 2 * len(self.sources)
        rows[:, column] = proposed.blend
        rows[:, column + 1] = np.arange(len(rows))
        return column + 2

    def _from_encoder(
        self, rows: Float32Array, column: int, candidates: Int32Array, way: Way
    ) -> int:
        if self.encoder is not None:
            vectors = self.encoder.vectors[candidates]
            rows[:, column] = vectors @ self.encoder.vectors[way.met[0]]
            rows[:, column + 1] = vectors @ self.encoder.encode(way.met, way.lags)
        return column + len(ENCODED)


def way_of(seeds: Seeds) -> Way:
    """The way so far of seeds that are in the order of `recommender.pipeline`."""
    cart, steps = seeds.of_part("cart"), seeds.steps()
    met, lags = steps.distinct(MAX_MET)
    return Way(
        steps.item_idx,
        steps.event_codes,
        steps.ages,
        steps.parts != PART_CODES["history"],
        met,
        lags,
        cart.item_idx,
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


@kernel
def _fill(
    rows: Float32Array,
    column: int,
    candidates: Int32Array,
    way: Way,
    model: Model,
    place: Int32Array,
) -> None:
    # `place` maps an item to its candidate's row plus one, so it can stay zeroed between calls.
    for row in range(candidates.shape[0]):
        place[candidates[row]] = row + 1
    column = _from_lists(rows, column, way, model, place)
    column = _from_directions(rows, column, candidates, way, model.factors, model.factor_norm)
    column = _from_directions(rows, column, candidates, way, model.vectors, model.vector_norm)
    column = _from_met(rows, column, way, place)
    column = _from_likeness(rows, column, candidates, way, model)
    column = _from_stats(rows, column, candidates, way, model)
    _from_way(rows, column, way)
    for row in range(candidates.shape[0]):
        place[candidates[row]] = 0


@kernel
def _from_lists(rows: Float32Array, column: int, way: Way, model: Model, place: Int32Array) -> int:
    sources = int(model.bounds.shape[0]) - 1
    for number in range(sources):
        first = column + 4 * number
        for order in range(way.met.shape[0]):
            item = way.met[order]
            for entry in range(model.bounds[number], model.bounds[number + 1]):
                if model.idx[item, entry] < 0:
                    break
                row = place[model.idx[item, entry]] - 1
                if row < 0:
                    continue
                weight = model.weight[item, entry]
                if order < 3:
                    rows[row, first + order] = weight
                rows[row, first + 3] = max(rows[row, first + 3], weight)
    return column + 4 * sources


@kernel
def _from_directions(
    rows: Float32Array,
    column: int,
    candidates: Int32Array,
    way: Way,
    vectors: Float32Array,
    norm: Float32Array,
) -> int:
    mean = _mean_direction(way, vectors, norm)
    last = vectors[way.met[0]] / max(norm[way.met[0]], np.float32(1e-12))
    for row in range(candidates.shape[0]):
        item = candidates[row]
        with_last, with_way = np.float32(0), np.float32(0)
        for f in range(mean.shape[0]):
            with_last += vectors[item, f] * last[f]
            with_way += vectors[item, f] * mean[f]
        if norm[item] > 0:
            rows[row, column] = with_last / norm[item]
            rows[row, column + 1] = with_way / norm[item]
    return column + 2


@kernel
def _mean_direction(way: Way, vectors: Float32Array, norm: Float32Array) -> Float32Array:
    """Decayed mean of the met items' directions, of length 1; float32 (f,)."""
    mean = np.zeros(vectors.shape[1], np.float32)
    strength = np.float32(1)
    for item in way.met:
        if norm[item] > 0:
            for f in range(mean.shape[0]):
                mean[f] += strength * vectors[item, f] / norm[item]
        strength *= _WAY_DECAY
    length = np.float32(1e-12)
    for f in range(mean.shape[0]):
        length += mean[f] * mean[f]
    direction: Float32Array = mean / np.sqrt(length)
    return direction


@kernel
def _from_met(rows: Float32Array, column: int, way: Way, place: Int32Array) -> int:
    for row in range(rows.shape[0]):
        rows[row, column : column + 3] = _FAR
        rows[row, column + 7 : column + 9] = np.nan
        rows[row, column + 15] = _FAR
    _mark_order(rows, column, way, place)
    moment = _moments(way) - 1
    for event in range(way.events.shape[0]):
        if event > 0 and way.ages[event] != way.ages[event - 1]:
            moment -= 1
        row = place[way.events[event]] - 1
        if row >= 0:
            _add_meeting(rows[row, column:], way, event, moment)
    for item in way.cart:
        row = place[item] - 1
        if row >= 0:
            rows[row, column + 9] = 1
    return column + 17


@kernel
def _mark_order(rows: Float32Array, column: int, way: Way, place: Int32Array) -> None:
    for order in range(way.met.shape[0]):
        row = place[way.met[order]] - 1
        if row >= 0:
            rows[row, column] = way.lags[order]
            rows[row, column + 1] = order


@kernel
def _moments(way: Way) -> int:
    count = 1
    for event in range(1, way.events.shape[0]):
        if way.ages[event] != way.ages[event - 1]:
            count += 1
    return count


@kernel
def _add_meeting(met: Float32Array, way: Way, event: int, moment: int) -> None:
    """Add one event to the ``met`` columns of its candidate; `moment` counts back from the last."""
    if met[3] == 0:
        met[2] = moment
    met[3] += 1
    met[7] = np.log1p(way.ages[event])
    code = way.codes[event]
    if code == _VIEW:
        met[4] += 1
    elif code == _CART:
        met[5] += 1
    elif code == _PURCHASE:
        met[6] += 1
        met[8] = met[7]
    if way.in_visit[event]:
        met[10] += 1
    if event > 0 and way.events[event - 1] == way.met[0] and way.events[event] != way.met[0]:
        met[11] += 1
    met[12] += np.float32(0.9**moment)
    met[13] += np.float32(0.7**moment)
    met[14] = met[3] / (met[2] + 1)
    if met[3] > 1:
        met[16] = met[15] - moment
    met[15] = moment


@kernel
def _from_likeness(
    rows: Float32Array, column: int, candidates: Int32Array, way: Way, model: Model
) -> int:
    mean_price = _mean_log_price(way, model)
    for row in range(candidates.shape[0]):
        item = candidates[row]
        for other in way.met:
            if model.category[item] >= 0 and model.category[item] == model.category[other]:
                rows[row, column] += 1
            if model.brand[item] >= 0 and model.brand[item] == model.brand[other]:
                rows[row, column + 1] += 1
        rows[row, column] /= way.met.shape[0]
        rows[row, column + 1] /= way.met.shape[0]
        rows[row, column + 2] = model.log_price[item] - mean_price
    return column + 3


@kernel
def _mean_log_price(way: Way, model: Model) -> float:
    total, priced = 0.0, 0
    for item in way.met:
        if not np.isnan(model.log_price[item]):
            total += model.log_price[item]
            priced += 1
    return total / priced if priced else np.nan


@kernel
def _from_stats(
    rows: Float32Array, column: int, candidates: Int32Array, way: Way, model: Model
) -> int:
    width = int(model.stats.shape[1])
    for row in range(candidates.shape[0]):
        rows[row, column : column + width] = model.stats[candidates[row]]
        rows[row, column + width : column + 2 * width] = model.stats[way.met[0]]
    return column + 2 * width


@kernel
def _from_way(rows: Float32Array, column: int, way: Way) -> None:
    last = way.events.shape[0] - 1
    item = way.events[last]
    values = np.zeros(15, np.float32)
    repeats = 0
    for event in range(last + 1):
        values[5] += way.events[event] == item
        if event > 0 and way.events[event] == way.events[event - 1]:
            repeats += 1
        if way.in_visit[event]:
            if values[8] == 0:
                values[7] = np.log1p(way.ages[event])
            values[8] += 1
    values[0] = last + 1
    values[1] = way.met.shape[0]
    values[2] = values[0] - values[1]
    values[3] = values[5] > 1
    values[4] = last > 0 and way.events[last - 1] == item
    values[6] = np.log1p(way.ages[last])
    values[9] = way.codes[last]
    values[10] = way.cart.shape[0]
    values[11] = _gap(way, last)
    values[12] = _gap(way, last - 1)
    values[13] = repeats / max(last, 1)
    values[14] = values[2] / values[0]
    for row in range(rows.shape[0]):
        rows[row, column : column + 15] = values


@kernel
def _gap(way: Way, event: int) -> int:
    """Events between one and the one before with the same item; 0 where there is none."""
    for before in range(event - 1, -1, -1):
        if way.events[before] == way.events[event]:
            return event - before
    return 0
