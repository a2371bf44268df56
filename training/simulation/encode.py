"""Chunks of the simulator as canonical events, and as their JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from feature_store.events import EventItem, InteractionEvent
from recommender import terms
from training.simulation.behaviour import PLACEMENTS
from training.simulation.catalogue import Catalogue
from training.simulation.identity import Identity
from training.simulation.recorder import EventChunk

CURRENCY: Final = "EUR"
PRICED: Final = frozenset(
    {
        terms.VIEW_ITEM,
        terms.ADD_TO_WISHLIST,
        terms.ADD_TO_CART,
        terms.REMOVE_FROM_CART,
        terms.VIEW_CART,
        terms.BEGIN_CHECKOUT,
        terms.ADD_PAYMENT_INFO,
        terms.PURCHASE,
        terms.REFUND,
    }
)
"""Events that describe their items; the others carry ids only, as shops send them."""
VALUED: Final = PRICED - {terms.VIEW_ITEM, terms.ADD_TO_WISHLIST}
"""Events that carry a value and a currency."""


class EventLine(msgspec.Struct, omit_defaults=True):
    """`InteractionEvent` with items that are JSON already: the same bytes, only faster."""

    event_id: str
    event_type: str
    ts: int
    visitor_id: str
    user_id: str | None = None
    session_id: str | None = None
    items: Sequence[msgspec.Raw] = ()
    currency: str | None = None
    value: float | None = None
    transaction_id: str | None = None
    search_term: str | None = None
    placement: str | None = None
    recommendation_id: str | None = None
    page_type: str | None = None
    device: str | None = None


@dataclass(slots=True)
class Encoder:
    """Turns chunks into events."""

    catalogue: Catalogue
    identity: Identity

    def __post_init__(self) -> None:
        encode = msgspec.json.Encoder().encode
        self._ids = [msgspec.Raw(encode(EventItem(one))) for one in self.catalogue.item_ids]
        self._whole = [msgspec.Raw(encode(self.item(one))) for one in range(len(self.catalogue))]
        self._encode = encode

    _ids: list[msgspec.Raw] = None  # type: ignore[assignment]
    _whole: list[msgspec.Raw] = None  # type: ignore[assignment]
    _encode: Any = None

    def item(self, item: int, quantity: int | None = None) -> EventItem:
        """Give an item as events describe it."""
        catalogue = self.catalogue
        levels = catalogue.leaves[catalogue.leaf[item]].path.split("/")
        return EventItem(
            item_id=catalogue.item_ids[item],
            item_name=catalogue.titles[item],
            item_brand=catalogue.brand_names[catalogue.brand[item]],
            item_category=levels[0],
            item_category2=levels[1],
            item_category3=levels[2],
            price=float(catalogue.price[item]),
            quantity=None if quantity is None else float(quantity),
        )

    def json(self, chunk: EventChunk) -> list[bytes]:
        """Give one JSON object per event, in the order of the chunk."""
        encode = self._encode
        return [encode(line) for line in self._lines(chunk)]

    def events(self, chunk: EventChunk) -> list[InteractionEvent]:
        """Give the events, in the order of the chunk."""
        decoder = msgspec.json.Decoder(InteractionEvent)
        return [decoder.decode(line) for line in self.json(chunk)]

    def _lines(self, chunk: EventChunk) -> Iterator[EventLine]:
        identity, event_type, in_session = self.identity, chunk.event_type, chunk.in_session
        currency = CURRENCY if event_type in VALUED else None
        for places, (ts, known, items, value, answer, term, order) in self._columns(chunk):
            who, device, visit, number, place, page = places
            visitor = identity.visitors[device][who]
            session = f"{visitor}.{visit}"
            yield EventLine(
                event_id=f"{session}.{number}",
                event_type=event_type,
                ts=ts,
                visitor_id=visitor,
                user_id=identity.users[who] if known else None,
                session_id=session if in_session else None,
                items=items or (),
                currency=currency,
                value=value,
                transaction_id=None if order is None else f"{session}.o{order}",
                search_term=term,
                placement=PLACEMENTS[place] if place >= 0 else None,
                recommendation_id=answer,
                page_type=PLACEMENTS[page] if page >= 0 else None,
                device=identity.devices[device][who] if in_session else None,
            )

    def _columns(self, chunk: EventChunk) -> Iterator[tuple[tuple[int, ...], tuple[Any, ...]]]:
        """Of each event the indices (who, device, visit, number, placement, page) and the rest."""
        nothing: list[Any] = [None] * len(chunk)
        items, values = self._items(chunk)
        who = (chunk.shopper, chunk.device, chunk.visit, chunk.sequence)
        places = (*who, chunk.placement, chunk.page)
        rest = (
            chunk.ts.tolist(),
            chunk.logged_in.tolist(),
            items,
            values,
            nothing if chunk.recommendation_id is None else chunk.recommendation_id.tolist(),
            nothing if chunk.search is None else self._terms(chunk.search),
            nothing if chunk.order is None else chunk.order.tolist(),
        )
        indices = zip(*(column.tolist() for column in places), strict=True)
        return zip(indices, zip(*rest, strict=True), strict=True)

    def _terms(self, leaves: np.ndarray) -> list[str]:
        return [self.catalogue.leaves[leaf].noun.lower() for leaf in leaves.tolist()]

    def _items(self, chunk: EventChunk) -> tuple[list[list[msgspec.Raw]], list[float | None]]:
        """Items of each event as JSON, and the value of each event."""
        raw = self._whole if chunk.event_type in PRICED else self._ids
        rows = chunk.items.tolist()
        if chunk.quantity is None:
            listed = [[raw[one] for one in row if one >= 0] for row in rows]
        else:
            listed = [
                [self._with_quantity(one, units) for one, units in zip(*pair, strict=True) if units]
                for pair in zip(rows, chunk.quantity.tolist(), strict=True)
            ]
        return listed, self._values(chunk)

    def _with_quantity(self, item: int, units: int) -> msgspec.Raw:
        return msgspec.Raw(self._encode(self.item(item, units)))

    def _values(self, chunk: EventChunk) -> list[float | None]:
        return (
            event_values(chunk, self.catalogue).tolist()
            if chunk.event_type in VALUED
            else ([None] * len(chunk))
        )


def event_values(chunk: EventChunk, catalogue: Catalogue) -> np.ndarray:
    """Price times units, summed over the items of each event, float64 (n,), in cents' precision."""
    units = (chunk.items >= 0) if chunk.quantity is None else chunk.quantity
    prices = np.where(chunk.items >= 0, catalogue.price[chunk.items], 0.0)
    return np.asarray(np.round((prices * units).sum(axis=1), 2))
