"""What was known of shoppers before the service's log begins: the tables hold older history."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final

from feature_store.layout import StoreLayout
from feature_store.materialise import materialise
from feature_store.online.memory import MemoryStore
from feature_store.online.visitors import VisitorOptions, Visitors
from feature_store.records import EventRecord
from feature_store.tables import read_interactions
from recommender.errors import DataError
from recommender.terms import USER_ID, VISITOR_ID
from training.dataset import moment

_FOR_EVER: Final = VisitorOptions(ttl_seconds=3650 * 86_400)
_TICK: Final = timedelta(microseconds=1)
Pseudonym = Callable[[str, str], str]


class Names:
    """Who is behind the pseudonyms of records, as far as tables and events have told."""

    def __init__(self, pseudonym: Pseudonym) -> None:
        self._pseudonym = pseudonym
        self._seen: set[tuple[str, str]] = set()
        self._known: dict[str, tuple[str, str | None]] = {}

    def learn(self, visitor_id: str | None, user_id: str | None) -> None:
        """Note the ids of somebody."""
        for kind, name in (("visitor", visitor_id), ("user", user_id)):
            if name and (kind, name) not in self._seen:
                self._seen.add((kind, name))
                asker = (name, None) if kind == "visitor" else ("", name)
                self._known[self._pseudonym(kind, name)] = asker

    def who(self, subject_key: str) -> tuple[str, str | None]:
        """Visitor and user id of who asked; nobody's where nothing told."""
        return self._known.get(subject_key, ("", None))


def known_before(
    layout: StoreLayout | None, records: Iterable[object], pseudonym: Pseudonym
) -> tuple[Visitors, Names]:
    """States and names from rows that were known before the first event of a log.

    Parameters
    ----------
    layout
        The tables; None: nothing was known.
    """
    visitors, names = Visitors(MemoryStore(lambda: 0), _FOR_EVER), Names(pseudonym)
    moments = [each.received_at for each in records if isinstance(each, EventRecord)]
    if layout is None or not moments:
        return visitors, names
    first = moment(min(moments))
    try:
        materialise(layout, visitors, first - _TICK)
    except DataError:  # the log begins with the shop
        return visitors, names
    rows = read_interactions(layout, known_before=first).select(VISITOR_ID, USER_ID).unique()
    for visitor_id, user_id in rows.collect().iter_rows():
        names.learn(visitor_id, user_id)
    return visitors, names
