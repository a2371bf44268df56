"""Who may fill the recommendation lists of the made-up shop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from training.simulation.ways import SuggestedWay


@dataclass(frozen=True, slots=True)
class PageContext:
    """What a shop knows when it asks for recommendations; no secret of the simulator is in it.

    Parameters
    ----------
    at
        Microseconds since the epoch, UTC.
    placement
        One of `behaviour.PLACEMENTS`, also the type of the page.
    item_id, category, search_term
        Of the page, where it has them.
    cart_items
        Outside ids.
    limit
        Places to fill.
    """

    at: int
    visitor_id: str
    user_id: str | None
    session_id: str
    device: str
    placement: str
    item_id: str | None
    category: str | None
    search_term: str | None
    cart_items: tuple[str, ...]
    limit: int


class Suggestion(NamedTuple):
    """An answer: with the id under which it was logged by whoever gave it, and perhaps a way."""

    item_ids: Sequence[str]
    recommendation_id: str | None = None
    way: SuggestedWay | None = None


class Recommender(Protocol):
    """Fills a list, with fewer items than `limit` or none if it likes."""

    def __call__(self, context: PageContext) -> Sequence[str] | Suggestion:
        """Give item ids, best first."""
        ...


@runtime_checkable
class ManyRecommender(Recommender, Protocol):
    """Fills the lists of several pages at a time, such as a service over several connections."""

    def many(self, contexts: Sequence[PageContext]) -> Sequence[Suggestion]:
        """Give an answer for each page, in their order."""
        ...


@dataclass(frozen=True, slots=True)
class RandomRecommender:
    """Items of the catalogue at random, a different list for every page, the same in every run."""

    item_ids: tuple[str, ...]
    seed: int = 0

    def __call__(self, context: PageContext) -> Sequence[str]:
        """Give `context.limit` different items."""
        address = [self.seed, context.at, int.from_bytes(context.session_id.encode(), "big")]
        rng = np.random.default_rng(address)
        chosen = rng.choice(
            len(self.item_ids), min(context.limit, len(self.item_ids)), replace=False
        )
        return [self.item_ids[one] for one in chosen]


@dataclass(frozen=True, slots=True)
class FixedRecommender:
    """The same items everywhere and always: what tires people."""

    item_ids: tuple[str, ...]

    def __call__(self, context: PageContext) -> Sequence[str]:
        """Give the first `context.limit` of the items."""
        return self.item_ids[: context.limit]
