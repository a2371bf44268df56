"""What rises: items that lately get more than their usual share of the shop's attention.

Lately and usually are the same sum of event weights with a short and a long half-life; what counts
is the surplus of `training.models.shortlist`.
"""

from __future__ import annotations

from recommender.terms import Float64Array
from training.known_events import KnownEvents
from training.models.popularity import decay, mass
from training.models.shortlist import Shortlist, mean_event_weight, shortlist, surplus
from training.sections import TrendSpec


def rising_items(events: KnownEvents, weight_by_code: Float64Array, spec: TrendSpec) -> Shortlist:
    """Items by their surplus.

    Parameters
    ----------
    weight_by_code
        Weight of each event code, float64 (event types,).
    """
    weights = weight_by_code[events.event_code]
    lately = weights * decay(events.ts, events.until, spec.short_half_life_days)
    usually = weights * decay(events.ts, events.until, spec.long_half_life_days)
    rise = surplus(
        mass(events.item_idx, lately, events.items),
        mass(events.item_idx, usually, events.items),
        mean_event_weight(lately),
        spec.sigmas,
    )
    return shortlist(rise, spec.items)
