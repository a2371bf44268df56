"""What is asked: who, where, what they did so far. Outside ids only; the pipeline resolves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from recommender.behaviour import NO_BEHAVIOUR, Behaviour
from recommender.errors import InvalidInputError
from recommender.exposures import NONE_IGNORED, Exposure, IgnoredLists
from recommender.patience import ENDLESS, Patience
from recommender.terms import FULL, KINDS, PERSONALIZE_LEVELS

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


class Query(msgspec.Struct, frozen=True):
    """One question to the pipeline.

    A struct, because each answer asks several: it is made in a fifth of the time of a frozen
    dataclass.

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
    page_type, device, locale, currency
        What the caller says of the page and where it is shown; filters and rules may ask for it.
    filter
        What every shown item must meet: text of the filter language, or a mapping of conditions,
        see `recommender.filters.conditions`.
    diversity
        How much the items are to differ, 0..1; None leaves it to the shop's rules.
    personalize
        How much of the shopper may influence the answer, see `recommender.personalisation`.
    behaviour
        What the shopper did in all; interactions may be cut off, this is not.
    exposures
        Items that were shown to the shopper and ignored, see `recommender.exposures`.
    ignored_lists
        How many lists were ignored lately.
    kinds
        Kinds of suggestions that are wanted, of `recommender.terms.KINDS`; None: those of the
        placement.
    seed
        Of what the placement leaves to chance, below 2^64; None: nothing is.
    patience
        When to go on with less than all stages.
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
    personalize: str = FULL
    behaviour: Behaviour = NO_BEHAVIOUR
    exposures: tuple[Exposure, ...] = ()
    ignored_lists: IgnoredLists = NONE_IGNORED
    page_type: str | None = None
    device: str | None = None
    locale: str | None = None
    currency: str | None = None
    filter: str | Mapping[str, object] = MappingProxyType({})
    diversity: float | None = None
    kinds: tuple[str, ...] | None = None
    seed: int | None = None
    patience: Patience = ENDLESS

    def but(self, **changes: Any) -> Query:
        """The same question with some parts of it changed."""
        return msgspec.structs.replace(self, **changes)

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise InvalidInputError(
                f"at={self.at.isoformat()} has no time zone; pass an aware datetime"
            )
        if not 1 <= self.limit <= 100:
            raise InvalidInputError(f"limit={self.limit}; accepted: 1 to 100")
        if self.personalize not in PERSONALIZE_LEVELS:
            accepted = ", ".join(PERSONALIZE_LEVELS)
            raise InvalidInputError(f"personalize={self.personalize!r}; accepted: {accepted}")
        if self.diversity is not None and not 0 <= self.diversity <= 1:
            raise InvalidInputError(f"diversity={self.diversity}; accepted: 0 to 1")
        if self.kinds and (unknown := set(self.kinds) - set(KINDS)):
            raise InvalidInputError(f"kinds: {sorted(unknown)}; accepted: {', '.join(KINDS)}")
