"""How a shopper stands to brands: signed, decayed, and shrunk so that one look says little.

Notation: an event e of age a_e on an item of brand b has the signed weight w_e of `SIGNS` and
decays as δ_e = 2 ** (-a_e / h). With κ the weight of what is not known,

    affinity(b) = Σ w_e δ_e / (κ + Σ |w_e| δ_e)        over the events on items of b,

between -1 and 1, exclusive: near 0 where little is known, where it is long ago, and where it
speaks for both sides. A refund takes back a little more than its purchase gave, a removal what the
cart gave. Reviews carry no rating in the event schema, so they do not count. Sums are exact
(`math.fsum`), so the order of the events is no matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from recommender.catalogue import Catalogue
from recommender.discretion import items_in
from recommender.errors import InvalidInputError
from recommender.query import Interaction
from recommender.terms import (
    ADD_TO_CART,
    ADD_TO_WISHLIST,
    DISMISS,
    MICROS_PER_SECOND,
    PURCHASE,
    REFUND,
    REMOVE_FROM_CART,
    SELECT_ITEM,
    SHARE,
    VIEW_ITEM,
)

SIGNS: Final[Mapping[str, float]] = MappingProxyType(
    {
        SELECT_ITEM: 0.5,
        VIEW_ITEM: 1.0,
        ADD_TO_CART: 2.0,
        REMOVE_FROM_CART: -2.0,
        ADD_TO_WISHLIST: 3.0,
        SHARE: 3.0,
        PURCHASE: 5.0,
        REFUND: -6.0,
        DISMISS: -3.0,
    }
)


@dataclass(frozen=True, slots=True)
class AffinityParams:
    """How affinity is computed.

    Parameters
    ----------
    half_life_days
        Age at which an event counts half.
    prior
        κ: with 10, one look comes to 0.09 and two fresh purchases to 0.5.
    signs
        Weight of each event type; those that are not named say nothing.
    """

    half_life_days: float = 90.0
    prior: float = 10.0
    signs: Mapping[str, float] = field(default_factory=lambda: SIGNS)

    def __post_init__(self) -> None:
        if not (self.half_life_days > 0 and self.prior > 0):
            raise InvalidInputError(
                f"half_life_days={self.half_life_days}, prior={self.prior}; accepted: above 0"
            )


DEFAULT_PARAMS: Final = AffinityParams()


def affinity(signed: Any, strength: Any, prior: float = DEFAULT_PARAMS.prior) -> Any:
    """Score of decayed sums, Σ w δ and Σ |w| δ: numbers, or columns of them."""
    return signed / (strength + prior)


def brand_affinity(
    interactions: Iterable[Interaction],
    brand_of: Callable[[str], str | None],
    at_micros: int,
    params: AffinityParams = DEFAULT_PARAMS,
) -> dict[str, float]:
    """Affinity to each brand that was met, the strongest first, by absolute value.

    Parameters
    ----------
    interactions
        In any order; those after `at_micros` do not count.
    brand_of
        Brand of an item by outside id, None where there is none.
    at_micros
        The moment of asking, microseconds since the epoch.
    """
    half_life = params.half_life_days * 86_400 * MICROS_PER_SECOND
    parts: dict[str, list[float]] = {}
    for item_id, event_type, ts in interactions:
        sign = params.signs.get(event_type, 0.0)
        if sign and ts <= at_micros and (brand := brand_of(item_id)) is not None:
            parts.setdefault(brand, []).append(sign * 2.0 ** ((ts - at_micros) / half_life))
    scores = {
        brand: affinity(math.fsum(each), math.fsum(map(abs, each)), params.prior)
        for brand, each in parts.items()
    }
    order = sorted(scores, key=lambda brand: (-abs(scores[brand]), brand))
    return {brand: scores[brand] for brand in order}


def brand_lookup(
    catalogue: Catalogue, sensitive: Iterable[str] = ()
) -> Callable[[str], str | None]:
    """Brand of an item by outside id, as a catalogue has it; none of items in sensitive categories.

    Parameters
    ----------
    sensitive
        Category paths, see `recommender.discretion`.
    """
    hidden = items_in(sensitive, catalogue)

    def brand_of(item_id: str) -> str | None:
        index = catalogue.ids.index(item_id)
        return None if index is None or hidden[index] else catalogue.brand_of(index)

    return brand_of
