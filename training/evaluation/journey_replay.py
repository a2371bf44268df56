"""Replays hold-out journeys: from which step on was the bought item among the first k.

Each question goes through `recommender.pipeline.recommend`, the code path that serves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from recommender.bundle import ModelBundle
from recommender.journey import NEVER, mean_over_paths, steps_saved
from recommender.pipeline import recommend
from recommender.placements import Placement
from recommender.policy import TopPolicy
from recommender.query import Interaction, Query
from recommender.terms import ADD_TO_CART, PURCHASE, REMOVE_FROM_CART, Float64Array, Int64Array
from training.evaluation.journey_sample import Journey


@dataclass(frozen=True, slots=True)
class Replayed:
    """What one way to answer would have saved.

    Parameters
    ----------
    saved, shortened
        Of each journey, float64 (m,): mean over its paths of the steps saved, and share of its
        paths that were shortened.
    answers
        How many questions were asked.
    """

    saved: Float64Array
    shortened: Float64Array
    answers: int


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to answer.

    Parameters
    ----------
    on_page
        Ask as a page of the shop does: with the item just seen and the cart beside the history.
    """

    name: str
    bundle: ModelBundle
    placement: Placement
    on_page: bool = False


def replay(
    journeys: Sequence[Journey],
    variant: Variant,
    k: int,
    on_journey: Callable[[], None] = lambda: None,
) -> Replayed:
    """Ask one variant along every journey."""
    shown: list[int] = []
    answers = 0
    with threadpool_limits(1, "blas"):
        for journey in journeys:
            first, asked = first_shown(journey, variant, k)
            shown += first
            answers += asked
            on_journey()
    sight = np.array([each for journey in journeys for each in journey.first_sight], np.int64)
    saved = steps_saved(sight, np.array(shown, np.int64))
    path_journey = paths_of(journeys)
    return Replayed(
        mean_over_paths(saved, path_journey), mean_over_paths(saved > 0, path_journey), answers
    )


def paths_of(journeys: Sequence[Journey]) -> Int64Array:
    """Journey of each path, int64 (p,)."""
    return np.repeat(np.arange(len(journeys)), [len(each.bought) for each in journeys])


def first_shown(journey: Journey, variant: Variant, k: int) -> tuple[list[int], int]:
    """First step before which each bought item was in the top k, and how often was asked.

    `NEVER` for an item that was not shown before its first sight. Nothing is asked once every item
    was shown or seen.
    """
    sights = dict(zip(journey.bought, journey.first_sight, strict=True))
    found: dict[str, int] = {}
    asked = 0
    for step, query in enumerate(journey.queries):
        waiting = [item for item, sight in sights.items() if item not in found and sight > step]
        if not waiting:
            break
        shown = _answer(query, variant, k)
        asked += 1
        found |= {item: step for item in waiting if item in shown}
    return [found.get(item, NEVER) for item in journey.bought], asked


def _answer(query: Query, variant: Variant, k: int) -> set[str]:
    place = variant.placement
    question = (_on_page(query) if variant.on_page else query).but(placement=place.name, limit=k)
    slate = recommend(question, variant.bundle, place, TopPolicy())
    return {item.item_id for item in slate.items}


def _on_page(query: Query) -> Query:
    """The same moment as a page would ask: it shows the visit's last item, and knows the cart."""
    last = tuple(each.item_id for each in query.session[-1:])
    cart = cart_of((*query.history, *query.session))
    return query.but(context_items=last, cart_items=cart)


def cart_of(interactions: Sequence[Interaction]) -> tuple[str, ...]:
    """Items put into the cart and neither removed nor bought since, oldest first."""
    cart: dict[str, None] = {}
    for item_id, event_type, _ in interactions:
        if event_type == ADD_TO_CART:
            cart[item_id] = None
        elif event_type in {REMOVE_FROM_CART, PURCHASE}:
            cart.pop(item_id, None)
    return tuple(cart)
