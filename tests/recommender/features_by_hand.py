"""The features of `recommender.features` by name, one number at a time: slow, and plainly meant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from recommender import course
from recommender.bundle import ModelBundle
from recommender.candidates.neighbours import NeighbourSource
from recommender.features import MAX_MET
from recommender.ranking import Proposed
from recommender.seeds import PART_CODES, Seeds
from recommender.terms import ADD_TO_CART, EVENT_CODES, PURCHASE, VIEW_ITEM

Row = dict[str, float]
FAR = 99.0


class Journey:
    """Steps as plain lists, oldest first, and what the shopper met, newest first."""

    def __init__(self, seeds: Seeds) -> None:
        is_cart = seeds.parts == PART_CODES["cart"]
        self.cart = seeds.item_idx[is_cart].tolist()
        steps = seeds[~is_cart] if (~is_cart).any() else seeds
        self.items = steps.item_idx.tolist()
        self.codes = steps.event_codes.tolist()
        self.ages = steps.ages.tolist()
        self.in_visit = (steps.parts != PART_CODES["history"]).tolist()
        # Moments count back: all steps of one age are one moment.
        falling = sorted(set(self.ages))
        self.back = [falling.index(age) for age in self.ages]
        self.met = list(dict.fromkeys(self.items[::-1]))
        self.lag: dict[int, int] = {}
        moments: set[float] = set()
        for item in self.met:
            moments.add(self.ages[self.last(item)])
            self.lag[item] = len(moments) - 1
        self.met = self.met[:MAX_MET]

    def places(self, item: int) -> list[int]:
        return [place for place, other in enumerate(self.items) if other == item]

    def last(self, item: int) -> int:
        return self.places(item)[-1]


def rows_by_hand(
    bundle: ModelBundle, proposed: Proposed, seeds: Seeds, stat_names: tuple[str, ...]
) -> list[Row]:
    """One dictionary of all features per candidate."""
    journey = Journey(seeds)
    return [
        _proposed(bundle, proposed, column)
        | _listed(bundle, journey, item)
        | _factors(bundle, journey, item)
        | _met(journey, item)
        | _course(bundle, journey, item)
        | _like(bundle, journey, item)
        | _stats(bundle, journey, item, stat_names)
        | _way(journey, proposed)
        for column, item in enumerate(proposed.item_idx.tolist())
    ]


def _proposed(bundle: ModelBundle, proposed: Proposed, column: int) -> Row:
    row = {f"{name}.{part}": 0.0 for name in bundle.sources for part in ("score", "share")}
    for number, name in enumerate(proposed.sources):
        row[f"{name}.score"] = proposed.scores[number, column]
        row[f"{name}.share"] = proposed.shares[number, column]
    return row | {"blend": proposed.blend[column], "place": column}


def _listed(bundle: ModelBundle, journey: Journey, item: int) -> Row:
    row = {}
    for name, source in bundle.sources.items():
        if isinstance(source, NeighbourSource):
            weights = [_weight(source, other, item) for other in journey.met]
            for order, lag in enumerate(("last", "prev", "third")):
                row[f"{name}.{lag}"] = weights[order] if order < len(weights) else 0.0
            row[f"{name}.max"] = max(weights)
    return row


def _weight(source: NeighbourSource, item: int, other: int) -> float:
    listed = dict(
        zip(source.neighbour_idx[item].tolist(), source.neighbour_weight[item], strict=True)
    )
    return float(listed.get(other, 0.0))


def _factors(bundle: ModelBundle, journey: Journey, item: int) -> Row:
    als = _cosines(bundle, "item_factors", journey, item)
    embedding = _cosines(bundle, "item_vectors", journey, item)
    encoded = _encoded(bundle, journey, item)
    return {
        "encoder.cosine_last": encoded[0],
        "encoder.cosine_way": encoded[1],
        "als.last": als[0],
        "als.way": als[1],
        "embedding.cosine_last": embedding[0],
        "embedding.cosine_way": embedding[1],
    }


def _encoded(bundle: ModelBundle, journey: Journey, item: int) -> tuple[float, float]:
    if "encoder" not in bundle.sources:
        return 0.0, 0.0
    vectors = np.asarray(bundle.arrays["encoder_vectors"], np.float64)
    lengths, weights = bundle.arrays["encoder_lengths"], bundle.arrays["encoder_lag_weights"]
    way = np.zeros(vectors.shape[1])
    for other in journey.met[: len(weights)]:
        if journey.lag[other] < len(weights):
            way += weights[journey.lag[other]] * lengths[other] * vectors[other]
    return float(vectors[item] @ vectors[journey.met[0]]), float(vectors[item] @ _unit(way))


def _cosines(bundle: ModelBundle, name: str, journey: Journey, item: int) -> tuple[float, float]:
    vectors = np.asarray(bundle.arrays.get(name, np.zeros((99, 1))), np.float64)
    way = sum(0.75**order * _unit(vectors[other]) for order, other in enumerate(journey.met))
    unit = _unit(vectors[item])
    return float(unit @ _unit(vectors[journey.met[0]])), float(unit @ _unit(np.asarray(way)))


def _unit(vector: np.ndarray) -> np.ndarray:
    length = math.sqrt(float(vector @ vector))
    return vector / length if length > 0 else vector * 0


def _met(journey: Journey, item: int) -> Row:
    places = journey.places(item)
    codes = [journey.codes[place] for place in places]
    back = [journey.back[place] for place in places]
    known = item in journey.met
    bought = [place for place in places if journey.codes[place] == EVENT_CODES[PURCHASE]]
    followed = [
        place
        for place in places
        if place and journey.items[place - 1] == journey.met[0] and item != journey.met[0]
    ]
    return {
        "met.lag": journey.lag[item] if known else FAR,
        "met.order": journey.met.index(item) if known else FAR,
        "met.first_lag": max(back) if places else FAR,
        "met.times": len(places),
        "met.views": codes.count(EVENT_CODES[VIEW_ITEM]),
        "met.carts": codes.count(EVENT_CODES[ADD_TO_CART]),
        "met.purchases": len(bought),
        "met.age": math.log1p(journey.ages[places[-1]]) if places else math.nan,
        "met.purchase_age": math.log1p(journey.ages[bought[-1]]) if bought else math.nan,
        "met.in_cart": float(item in journey.cart),
        "met.in_visit": sum(journey.in_visit[place] for place in places),
        "met.followed": len(followed),
        "met.fading": sum(0.9**each for each in back),
        "met.fading_fast": sum(0.7**each for each in back),
        "met.rate": len(places) / (max(back) + 1) if places else 0.0,
        "met.since": back[-1] if places else FAR,
        "met.gap": back[-2] - back[-1] if len(places) > 1 else 0,
    }


def _course(bundle: ModelBundle, journey: Journey, item: int) -> Row:
    if "course_share" not in bundle.arrays:
        return dict.fromkeys(("course.share", "course.new", "course.same"), 0.0)
    visit = [each for each, is_in in zip(journey.items, journey.in_visit, strict=True) if is_in]
    kinds = [_kind(visit[:step], each) for step, each in enumerate(visit)]
    node, child = 0, bundle.arrays["course_child"]
    for kind in [*kinds[::-1], course.BEGIN][: course.DEPTH]:
        if child[node, kind] < 0:
            break
        node = child[node, kind]
    shares = bundle.arrays["course_share"][node]
    return {
        "course.share": float(shares[_kind(visit, item)]),
        "course.new": float(shares[course.NEW]),
        "course.same": float(shares[0]),
    }


def _kind(before: Sequence[int], item: int) -> int:
    near = before[::-1][: course.REACH]
    return min(len(set(near[: near.index(item)])), course.FAR) if item in near else course.NEW


def _like(bundle: ModelBundle, journey: Journey, item: int) -> Row:
    catalogue = bundle.catalogue
    own = {
        name: [values[item] >= 0 and values[item] == values[other] for other in journey.met]
        for name, values in (("category", catalogue.item_category), ("brand", catalogue.item_brand))
    }
    prices = [math.log(p) for other in journey.met if (p := catalogue.item_price[other]) > 0]
    mean = sum(prices) / len(prices) if prices else math.nan
    price = catalogue.item_price[item]
    return {
        "like.category": sum(own["category"]) / len(journey.met),
        "like.brand": sum(own["brand"]) / len(journey.met),
        "like.price": math.log(price) - mean if price > 0 else math.nan,
    }


def _stats(bundle: ModelBundle, journey: Journey, item: int, names: tuple[str, ...]) -> Row:
    stats = bundle.arrays["item_stats"]
    row = {f"item.{name}": float(stats[item, n]) for n, name in enumerate(names)}
    return row | {f"last.{name}": float(stats[journey.met[0], n]) for n, name in enumerate(names)}


def _way(journey: Journey, proposed: Proposed) -> Row:
    steps, last = len(journey.items), journey.items[-1]
    in_visit = [age for age, is_in in zip(journey.ages, journey.in_visit, strict=True) if is_in]
    return {
        "way.moments": steps,
        "way.items": len(journey.met),
        "way.returns": steps - len(journey.met),
        "way.returned": float(journey.items.count(last) > 1),
        "way.repeated": float(steps > 1 and journey.items[-2] == last),
        "way.last_times": journey.items.count(last),
        "way.age": math.log1p(journey.ages[-1]),
        "way.visit_age": math.log1p(in_visit[0]) if in_visit else 0.0,
        "way.visit_moments": len(in_visit),
        "way.type": journey.codes[-1],
        "way.cart": len(journey.cart),
        "way.last_gap": _gap(journey.items, steps - 1),
        "way.prev_gap": _gap(journey.items, steps - 2),
        "way.repeat_share": sum(a == b for a, b in pairwise(journey.items)) / max(steps - 1, 1),
        "way.return_share": (steps - len(journey.met)) / steps,
        "way.pool": proposed.pool,
    }


def _gap(items: Sequence[int], place: int) -> int:
    before = [place - other for other in range(max(place, 0)) if items[other] == items[place]]
    return min(before, default=0)


def differences(names: tuple[str, ...], rows: np.ndarray, expected: list[Row]) -> Mapping[str, str]:
    """Columns that are not as expected, with the first row in which they differ."""
    wanted = np.array([[row[name] for name in names] for row in expected])
    wrong = ~np.isclose(rows, wanted, rtol=2e-5, atol=1e-6, equal_nan=True)
    return {
        names[column]: f"row {row}: {rows[row, column]} for {wanted[row, column]}"
        for row, column in reversed(list(zip(*np.nonzero(wrong), strict=True)))
    }
