"""What a query says about the shopper, as indices and weights: where every source starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np

from recommender.ids import IdMap
from recommender.query import Interaction
from recommender.terms import (
    EVENT_CODES,
    BoolArray,
    Float32Array,
    Int32Array,
)

Found = TypeVar("Found")
# Parts of a query, in the order in which seeds are joined.
PART_CODES: Final[dict[str, int]] = {"history": 0, "session": 1, "cart": 2, "context": 3}


@dataclass(frozen=True, slots=True)
class Seeds:
    """Known items that a shopper dealt with.

    Parameters
    ----------
    item_idx
        int32 (n,), oldest first; an item may occur several times.
    event_codes
        `recommender.terms.EVENT_CODES` of each, int32 (n,).
    weights
        Event weight times recency decay, float32 (n,), positive.
    ages
        Seconds from each to the moment of asking, float32 (n,), not negative.
    parts
        Which part of the query each is from, a code of `PART_CODES`, int32 (n,).
    """

    item_idx: Int32Array
    event_codes: Int32Array
    weights: Float32Array
    ages: Float32Array
    parts: Int32Array
    _kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.item_idx)

    @classmethod
    def joined(cls, parts: Iterable[Seeds]) -> Seeds:
        """All seeds of several parts, in their order."""
        listed = [part for part in parts if len(part)] or [NO_SEEDS]
        return cls(
            np.concatenate([part.item_idx for part in listed]),
            np.concatenate([part.event_codes for part in listed]),
            np.concatenate([part.weights for part in listed]),
            np.concatenate([part.ages for part in listed]),
            np.concatenate([part.parts for part in listed]),
        )

    def steps(self) -> Seeds:
        """The steps of the way: what is in the cart got there by one, and the page is the last one.

        Where nothing else is known, the cart is the way.
        """
        return self._once("steps", self._steps)

    def _steps(self) -> Seeds:
        # Kernels come in only where there is a model, see `recommender.compiled`.
        from recommender.seed_way import without_part

        fields = (self.item_idx, self.event_codes, self.weights, self.ages, self.parts)
        steps = without_part(PART_CODES["cart"], fields)
        return Seeds(*steps) if 0 < len(steps[0]) < len(self) else self

    def __getitem__(self, kept: BoolArray) -> Seeds:
        return Seeds(
            self.item_idx[kept],
            self.event_codes[kept],
            self.weights[kept],
            self.ages[kept],
            self.parts[kept],
        )

    def lags(self) -> Int32Array:
        """How many later moments each seed is behind, int32 (n,); the newest have lag 0.

        Everything of one moment (a basket, the items of a page) has one lag, and a moment counts
        only where it brought an item that no later one had: looking twice at the same thing does
        not push the rest away.
        """
        return self._walked()[0]

    def distinct(self, most: int) -> tuple[Int32Array, Int32Array]:
        """The latest distinct items and the lag of each, newest first: int32 (≤ most,) each."""
        _, items, lags = self._walked()
        return items[:most], lags[:most]

    def _walked(self) -> tuple[Int32Array, Int32Array, Int32Array]:
        # Kernels come in only where there is a model, see `recommender.compiled`.
        from recommender.seed_way import walked

        return self._once("walked", lambda: walked(self.item_idx, self.ages))

    def summed(self) -> tuple[Int32Array, Float32Array]:
        """Each item once, ascending, with its weights summed: int32 (m,), float32 (m,)."""
        from recommender.seed_way import summed

        return self._once("summed", lambda: summed(self.item_idx, self.weights))

    def _once(self, name: str, make: Callable[[], Found]) -> Found:
        """What several sources ask for is worked out for the first of them."""
        if (found := self._kept.get(name)) is None:
            found = self._kept[name] = make()
        return found


NO_SEEDS = Seeds(
    np.empty(0, np.int32),
    np.empty(0, np.int32),
    np.empty(0, np.float32),
    np.empty(0, np.float32),
    np.empty(0, np.int32),
)


class Weighing(NamedTuple):
    """What an interaction counts: of age a, ``event_weights[type] * 2 ** (-a / half_life)``."""

    at_micros: int
    event_weights: Mapping[str, float]
    half_life_seconds: float


def seeds_of(
    parts: Mapping[str, Sequence[Interaction]], ids: IdMap, weighing: Weighing
) -> tuple[Seeds, frozenset[str]]:
    """Resolve the interactions of a query to seeds; which parts there are seeds of.

    Unknown items, event types without a positive weight and interactions after the moment of asking
    are left out, and of the page the item of the last step: that was to open this very page.
    Counted again it would count twice where the storefront's event is there before its question,
    and once where it is not.

    Parameters
    ----------
    parts
        By name, in the order of `PART_CODES`.
    """
    at_micros, event_weights, half_life = weighing
    items: list[int] = []
    codes: list[int] = []
    weights: list[float] = []
    ages: list[int] = []
    of_parts: list[int] = []
    found: set[str] = set()
    opened = -1
    for part, interactions in parts.items():
        before = len(items)
        known = ids.index_of_each([item_id for item_id, _, _ in interactions])
        for item, (_, event_type, ts) in zip(known, interactions, strict=True):
            weight = event_weights.get(event_type, 0.0)
            if item is None or not weight > 0 or ts > at_micros:
                continue
            if item == opened and part == "context":
                continue
            items.append(item)
            codes.append(EVENT_CODES[event_type])
            weights.append(weight)
            ages.append(at_micros - ts)
        if count := len(items) - before:
            found.add(part)
            of_parts += [PART_CODES[part]] * count
            opened = items[-1] if part == "session" else opened
    if not items:
        return NO_SEEDS, frozenset()
    # Kernels come in only where there is a model, see `recommender.compiled`.
    from recommender.seed_way import decayed

    lasting, seconds = decayed(np.array(weights), np.array(ages, np.int64), half_life)
    numbers = np.array((items, codes, of_parts), np.int32)
    seeds = Seeds(numbers[0], numbers[1], lasting, seconds, numbers[2])
    return seeds, frozenset(found)
