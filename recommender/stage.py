"""How a shopper stands to the shop: one word from what they did, never from who they are.

Notation: n purchases, the mean time g between them, the shop's usual time u between two purchases
of one shopper. A first purchase is expected to be followed after u, later ones after the shopper's
own interval shrunk towards it,

    e = (κ u + (n - 1) g) / (κ + n - 1),        κ = `StageLimits.prior_intervals`.

The stages, least close first; the position is the code:

``prospect``
    bought nothing that was kept
``lapsing``
    bought, but nothing for longer than `lapse_factor` times e
``first_time``
    one purchase
``repeat``
    more than one
``loyal``
    `loyal_purchases` or more, where a wish-list of `wishes_per_purchase` items stands for one
``advocate``
    more than one, and shared or reviewed `advocate_acts` times or more

Purchases that were given back are none, see `recommender.behaviour`. Only counts and two moments
are looked at, so the order in which they became known is no matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from recommender.behaviour import Behaviour
from recommender.errors import InvalidInputError
from recommender.query import Interaction
from recommender.terms import (
    ADD_TO_WISHLIST,
    MICROS_PER_SECOND,
    PURCHASE,
    REFUND,
    REVIEW,
    SHARE,
)

PROSPECT: Final = "prospect"
LAPSING: Final = "lapsing"
FIRST_TIME: Final = "first_time"
REPEAT: Final = "repeat"
LOYAL: Final = "loyal"
ADVOCATE: Final = "advocate"
STAGES: Final = (PROSPECT, LAPSING, FIRST_TIME, REPEAT, LOYAL, ADVOCATE)
STAGE_CODES: Final[dict[str, int]] = {name: code for code, name in enumerate(STAGES)}

UNKNOWN_INTERVAL_SECONDS: Final = 90 * 86_400.0
"""Taken for a shop's usual interval where none is known."""


@dataclass(frozen=True, slots=True)
class StageLimits:
    """Where one stage ends and the next begins.

    Parameters
    ----------
    lapse_factor
        How many expected intervals may pass without a purchase. Usual intervals are those that were
        completed, so they are too short for everybody; hence more than one.
    prior_intervals
        As how many intervals of the shopper's own the shop's usual one counts.
    loyal_purchases
        From how many purchases on a shopper is loyal.
    wishes_per_purchase
        How many items on the wish-list stand for one purchase; it is only ever one.
    advocate_acts
        From how many shares and reviews on one who bought again is an advocate.
    """

    lapse_factor: float = 3.0
    prior_intervals: float = 2.0
    loyal_purchases: int = 4
    wishes_per_purchase: int = 3
    advocate_acts: int = 2

    def __post_init__(self) -> None:
        values = {name: getattr(self, name) for name in self.__slots__}
        if wrong := [f"{name}={value}" for name, value in values.items() if not value > 0]:
            raise InvalidInputError(f"stage limits: {', '.join(wrong)}; accepted: above 0")


DEFAULT_LIMITS: Final = StageLimits()


def stage_of(
    behaviour: Behaviour,
    at_micros: int,
    usual_seconds: float = UNKNOWN_INTERVAL_SECONDS,
    limits: StageLimits = DEFAULT_LIMITS,
) -> str:
    """Stage at a moment, one of `STAGES`.

    Parameters
    ----------
    behaviour
        What happened up to the moment.
    at_micros
        The moment, microseconds since the epoch.
    usual_seconds
        The shop's usual time between two purchases of a shopper, u.
    """
    bought = behaviour.kept_purchases
    if not bought:
        return PROSPECT
    since = (at_micros - behaviour.last_bought) / MICROS_PER_SECOND
    if since > limits.lapse_factor * expected_interval(behaviour, usual_seconds, limits):
        return LAPSING
    if bought > 1 and behaviour.shares + behaviour.reviews >= limits.advocate_acts:
        return ADVOCATE
    wished = int(behaviour.wishes >= limits.wishes_per_purchase)
    if bought > 1 and bought + wished >= limits.loyal_purchases:
        return LOYAL
    return REPEAT if bought > 1 else FIRST_TIME


def expected_interval(
    behaviour: Behaviour, usual_seconds: float, limits: StageLimits = DEFAULT_LIMITS
) -> float:
    """Seconds after which the next purchase is expected, e of the module's description."""
    own = (behaviour.last_bought - behaviour.first_bought) / MICROS_PER_SECOND
    intervals = max(0, behaviour.purchases - 1)
    prior = limits.prior_intervals
    return (prior * usual_seconds + (own if intervals else 0.0)) / (prior + intervals)


def behaviour_of(interactions: Iterable[Interaction], until_micros: int) -> Behaviour:
    """What these interactions come to, in any order; nothing after `until_micros` counts.

    All that was bought at one moment is one purchase.
    """
    known = [each for each in interactions if each.ts <= until_micros]
    bought = [each.ts for each in known if each.event_type == PURCHASE]
    counts = {
        kind: sum(each.event_type == kind for each in known)
        for kind in (REFUND, ADD_TO_WISHLIST, SHARE, REVIEW)
    }
    return Behaviour(
        purchases=len(set(bought)),
        kept_lines=len(bought) - counts[REFUND],
        first_bought=min(bought, default=0),
        last_bought=max(bought, default=0),
        wishes=counts[ADD_TO_WISHLIST],
        shares=counts[SHARE],
        reviews=counts[REVIEW],
    )
