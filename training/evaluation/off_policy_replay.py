"""Logged answers once more: what another model would have shown, and what logging could have.

The service's log is walked in the order of its moments: events change the states of shoppers as
they did in the online store, beginning with what the tables knew before the log, and each answer's
question is asked again with what was known right then. A record names its shopper by a pseudonym;
who it is follows from the ids in events and tables. Of somebody without either nothing is known, as
it was.

Some of a question is not in the record and is left out: the filter, items that the caller kept out,
a cart that only the page knew, the limit beyond the list that was given, and the shop's rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from feature_store.layout import StoreLayout
from feature_store.online.known import informed
from feature_store.online.state import SESSION_GAP
from feature_store.records import DecisionRecord, EventRecord
from recommender.bundle import ModelBundle
from recommender.pace import Pace
from recommender.pipeline import recommend
from recommender.placements import MAX_LIMIT, Placement
from recommender.policy import TopPolicy
from recommender.query import Query
from recommender.terms import OFF
from training.dataset import moment
from training.evaluation.off_policy_history import Pseudonym, known_before

_POLICY: Final = TopPolicy()
_CLOSE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Replayed:
    """One logged answer, and what another model would have shown.

    Parameters
    ----------
    target
        Item ids of the other list, as long as the logged one or shorter.
    """

    record: DecisionRecord
    target: tuple[str, ...]

    @property
    def shown(self) -> tuple[str, ...]:
        """Item ids of the logged list."""
        return tuple([item.item_id for item in self.record.items])


def replay(
    records: Iterable[object],
    wanted: frozenset[str],
    bundle: ModelBundle,
    placements: Mapping[str, Placement],
    pseudonym: Pseudonym,
    layout: StoreLayout | None = None,
) -> Iterator[Replayed]:
    """Ask a model the questions of logged answers, each with what was known at its moment.

    Parameters
    ----------
    records
        Records of the log, in any order.
    wanted
        Ids of the answers; their placements must be known.
    layout
        Tables with what was known before the log; None: nothing was.
    """
    records = list(records)
    visitors, names = known_before(layout, records, pseudonym)
    for _, _, record in _in_time(records, wanted):
        if isinstance(record, EventRecord):
            visitors.apply([record.event])
            names.learn(record.event.visitor_id, record.event.user_id)
        else:
            asker = names.who(record.subject_key)
            state = visitors.get(*asker, moment(record.ts_server))
            place = placements[record.surface]
            query = informed(question_of(record, place), state, SESSION_GAP)
            slate = recommend(query, bundle, place, _POLICY)
            items = [each.item_id for each in slate.items]
            yield Replayed(record, tuple(items[: len(record.items)]))


def _in_time(
    records: Iterable[object], wanted: frozenset[str]
) -> list[tuple[int, int, EventRecord | DecisionRecord]]:
    """Events and wanted answers by moment; of one moment, the events first."""
    found: list[tuple[int, int, EventRecord | DecisionRecord]] = []
    for record in records:
        if isinstance(record, EventRecord):
            found.append((record.received_at, 0, record))
        elif isinstance(record, DecisionRecord) and record.decision_id in wanted:
            found.append((record.ts_server, 1, record))
    return sorted(found, key=lambda each: each[:2])


def question_of(record: DecisionRecord, placement: Placement) -> Query:
    """The question behind a record, as far as the record tells it."""
    context: Mapping[str, Any] = record.context
    length = len(record.items) + len(record.ways)
    return Query(
        at=moment(record.ts_server),
        placement=placement.name,
        limit=_asked_for(length, record, placement),
        context_items=tuple(context.get("item_ids", ())),
        category=context.get("category"),
        page_type=context.get("page_type"),
        device=context.get("device"),
        locale=context.get("locale"),
        currency=context.get("currency"),
        personalize=str(record.attributes_used.get("personalize", OFF)),
    )


def _asked_for(length: int, record: DecisionRecord, placement: Placement) -> int:
    """The shortest list that, asked for at the visit's pace, is given as long as it was."""
    style = placement.style(Pace(record.session_mode, record.session_mode_confidence))
    for limit in range(max(length, 1), MAX_LIMIT + 1):
        if style.limit(limit) >= length:
            return limit
    return MAX_LIMIT
