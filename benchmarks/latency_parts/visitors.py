"""Shoppers in the middle of a visit, as events that a storefront would send.

Each has left something in the cart three days ago, has taken ten steps in the running visit, and
has been shown the service's own list without taking anything up.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from recommender.catalogue import Catalogue
from recommender.errors import DataError
from recommender.terms import ADD_TO_CART, VIEW_ITEM, VIEW_ITEM_LIST

PLACEMENT: Final = "home"
ASKED_ITEMS: Final = 20
EARLIER: Final = (VIEW_ITEM, VIEW_ITEM, ADD_TO_CART)
SESSION: Final = (*(VIEW_ITEM,) * 6, ADD_TO_CART, *(VIEW_ITEM,) * 3)
# The catalogue is met as shops are: few items get most of the looks.
SKEW: Final = 0.8
SAME_CATEGORY: Final = 0.7
SECOND: Final = 1_000_000
EARLIER_SECONDS: Final = 3 * 86_400
STEP_SECONDS: Final = 25
BATCH: Final = 500

Event = Mapping[str, object]


def visitor_id(number: int) -> str:
    """Id of a shopper, as long as those that analytics scripts make."""
    return f"GA1.2.{1_000_000_007 + number}.1795288000"


def steps(catalogue: Catalogue, visitors: int, seed: int, now: int) -> list[Event]:
    """Events of the earlier visit and of the running one, of all visitors.

    Parameters
    ----------
    now
        Microseconds since the epoch, UTC; everything lies before it.
    """
    rng = np.random.default_rng(seed)
    events: list[Event] = []
    for number in range(visitors):
        earlier = now - EARLIER_SECONDS * SECOND
        events += _visit(catalogue, number, "e", EARLIER, rng, earlier)
        events += _visit(catalogue, number, "s", SESSION, rng, now - STEP_SECONDS * SECOND)
    return events


def _visit(
    catalogue: Catalogue,
    number: int,
    name: str,
    types: Sequence[str],
    rng: np.random.Generator,
    until: int,
) -> Iterator[Event]:
    """A visit that ends at this moment: mostly in the category that it begins with."""
    first = _met(catalogue.popular_order, rng)
    category = catalogue.category_of(first)
    near = catalogue.in_category(category) if category else catalogue.popular_order
    for at, event_type in enumerate(types):
        from_near = rng.random() < SAME_CATEGORY
        item = _met(near if from_near else catalogue.popular_order, rng) if at else first
        yield {
            "event_id": f"{name}-{number}-{at}",
            "event_type": event_type,
            "visitor_id": visitor_id(number),
            "ts": until - (len(types) - at) * STEP_SECONDS * SECOND,
            "items": [{"item_id": catalogue.ids.id(item)}],
        }


def _met(order: np.ndarray[Any, np.dtype[np.int32]], rng: np.random.Generator) -> int:
    """One of these items, the first ones by far the most often: a power law in the rank."""
    share = rng.random()
    rank = (1 + share * ((len(order) + 1) ** (1 - SKEW) - 1)) ** (1 / (1 - SKEW)) - 1
    return int(order[min(int(rank), len(order) - 1)])


def exposures(shown: Mapping[str, tuple[str, Sequence[str]]], now: int) -> list[Event]:
    """Lists seen and ignored, given by visitor as (recommendation id, items)."""
    return [
        {
            "event_id": f"x-{visitor}",
            "event_type": VIEW_ITEM_LIST,
            "visitor_id": visitor,
            "ts": now - SECOND,
            "item_list_id": PLACEMENT,
            "recommendation_id": recommendation_id,
            "items": [{"item_id": item, "index": at} for at, item in enumerate(items, start=1)],
        }
        for visitor, (recommendation_id, items) in shown.items()
    ]


def question(number: int) -> dict[str, object]:
    """What a storefront asks for a shopper."""
    return {
        "placement": PLACEMENT,
        "visitor_id": visitor_id(number),
        "limit": ASKED_ITEMS,
        "context": {"page_type": "home", "device": "mobile", "locale": "de-DE"},
    }


def send(url: str, key: str, events: Sequence[Event]) -> None:
    """Send events in batches. Raises `DataError` unless all of them are accepted."""
    for batch in batches(events):
        verdict = post(f"{url}/v1/events", key, batch)
        if verdict["accepted"] != len(batch):
            raise DataError(f"{url} accepted {verdict['accepted']} of {len(batch)}: {verdict}")


def batches(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """Parts of a bearable size, in their order."""
    return (events[at : at + BATCH] for at in range(0, len(events), BATCH))


def ask(url: str, key: str, numbers: Iterable[int]) -> dict[str, dict[str, Any]]:
    """Answers by visitor. Raises `DataError`."""
    return {
        visitor_id(number): post(f"{url}/v1/recommendations", key, question(number))
        for number in numbers
    }


def post(url: str, key: str, body: object) -> dict[str, Any]:
    """The answer to a JSON body. Raises `DataError` for anything but success."""
    headers = {"Content-Type": "application/json", "X-API-Key": key}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - loopback
            return dict(json.load(response))
    except urllib.error.HTTPError as error:
        raise DataError(f"{url} answered {error.code}: {error.read()[:300]!r}") from error
