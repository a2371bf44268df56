"""What is asked: who, where, what they did so far. Outside ids only; the pipeline resolves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from recommender.errors import InvalidInputError

NO_ITEM: Final = ""


class Interaction(NamedTuple):
    """One thing a shopper did with one item.

    Parameters
    ----------
    item_id
        Outside id; `NO_ITEM` for a move without one, see `Visit`.
    event_type
        Canonical name, see `recommender.terms.EVENT_TYPES`.
    ts
        Microseconds since the epoch, UTC.
    """

    item_id: str
    event_type: str
    ts: int


@dataclass(frozen=True, slots=True)
class Visit:
    """The running visit as a whole, see `recommender.visit`.

    Parameters
    ----------
    events
        Interactions with items and moves (`recommender.terms.MOVE_TYPES`), oldest first. The item
        of a move is the first one of a list that the shopper went to, else `NO_ITEM`.
    met_before
        Items that the shopper dealt with before the visit, as far as that is remembered.
    """

    events: tuple[Interaction, ...] = ()
    met_before: frozenset[str] = frozenset()


NO_VISIT = Visit()


@dataclass(frozen=True, slots=True)
class Query:
    """One question to the pipeline.

    Parameters
    ----------
    at
        The moment of asking, timezone-aware. Nothing later may be in the query.
    placement
        Where on the site the answer will stand.
    limit
        List length asked for, 1..100.
    history
        Interactions of earlier sessions, oldest first.
    session
        Interactions of the running session, oldest first.
    visit
        The running visit with its moves: what its pace is told from.
    context_items
        Items of the page, most important first.
    cart_items
        Items in the cart.
    category
        Category of the page, a path such as ``"garden/tools"``.
    exclude_items
        Never to be shown.
    filter
        Attribute conditions that every shown item must meet, see `recommender.rules`.
    personalize
        False: nothing about the shopper may influence the answer.
    """

    at: datetime
    placement: str
    limit: int = 10
    history: tuple[Interaction, ...] = ()
    session: tuple[Interaction, ...] = ()
    visit: Visit = NO_VISIT
    context_items: tuple[str, ...] = ()
    cart_items: tuple[str, ...] = ()
    category: str | None = None
    exclude_items: frozenset[str] = frozenset()
    filter: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    personalize: bool = True

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise InvalidInputError(
                f"at={self.at.isoformat()} has no time zone; pass an aware datetime"
            )
        if not 1 <= self.limit <= 100:
            raise InvalidInputError(f"limit={self.limit}; accepted: 1 to 100")
