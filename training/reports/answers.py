"""The answers behind what was shown: decision records of the service's log, by their id.

The log is read whole and once; of the records only those are kept that a showing names, and of
those only what reports look at.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from feature_store.event_log import LogReader
from feature_store.records import DecisionRecord
from recommender.merchandising.arrangement import PINNED, PROMOTED
from recommender.terms import (
    PERSONALISED,
    POPULAR_IN_CATEGORY,
    SESSION,
    STATIC,
    UNKNOWN_MODE,
)

NOT_KNOWN: Final = UNKNOWN_MODE
# Sources that propose the same to everybody; what a rung of the ladder filled in is among them.
_IMPERSONAL: Final = frozenset(
    {
        "popularity",
        "trend",
        "new_items",
        "early_adopters",
        POPULAR_IN_CATEGORY,
        STATIC,
        PINNED,
        PROMOTED,
    }
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What reports look at in one decision.

    Parameters
    ----------
    placement
        Where it was asked for.
    stage, mode
        Of the shopper and of the visit; `NOT_KNOWN` where the decision does not say.
    arm
        What answered: policy and version of the model.
    promised
        Predicted acceptance by item, of those that have one.
    changed
        Share of the page that is another than the one that everybody would have got, in 0..1.
    is_changed_measured
        The record says so itself; else it is the share of items that a personal source brought in.
    """

    placement: str
    stage: str
    mode: str
    arm: str
    promised: dict[str, float]
    changed: float
    is_changed_measured: bool


def read_answers(folder: Path, wanted: Collection[str]) -> dict[str, Answer]:
    """Answers of a log folder by id, as far as they are wanted; none without a folder."""
    if not folder.is_dir():
        return {}
    found = {}
    for entry in LogReader(folder):
        record = entry.record
        if isinstance(record, DecisionRecord) and record.decision_id in wanted:
            found[record.decision_id] = answer_of(record)
    return found


def answer_of(record: DecisionRecord) -> Answer:
    """What reports look at in a record."""
    named, measured = (record.policy_id, record.model_version[:8]), record.changed_share
    return Answer(
        record.surface,
        str(record.attributes_used.get("stage", NOT_KNOWN)),
        record.session_mode,
        " · ".join(part for part in named if part),
        {each.item_id: each.acceptance for each in record.items if each.acceptance is not None},
        personal_share(record) if measured is None else measured,
        measured is not None,
    )


def personal_share(record: DecisionRecord) -> float:
    """Share of the items that a personal source brought in; 0 for an empty or impersonal answer."""
    if record.served_level not in (PERSONALISED, SESSION) or not record.items:
        return 0.0
    return sum(each.source not in _IMPERSONAL for each in record.items) / len(record.items)
