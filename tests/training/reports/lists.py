"""A log with answers: what was shown where, what came of it, and the records behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from feature_store.intake import Intake
from feature_store.layout import StoreLayout
from feature_store.online.memory import MemoryStore
from feature_store.online.visitors import Visitors
from feature_store.records import DecisionItem, DecisionRecord
from tests.tabling import MINUTE, SECOND, START, bring_in, row

Row = dict[str, object]


def decision(decision_id: str, items: Sequence[DecisionItem], **parts: object) -> DecisionRecord:
    """A record of a personal answer at home, unless `parts` say otherwise."""
    given: dict[str, object] = {
        "request_id": "r",
        "ts_server": START,
        "seq": 0,
        "writer": "",
        "subject_key": "s",
        "surface": "home",
        "policy_id": "top",
        "model_version": "0123456789abcdef",
        "config_digest": "c",
        "code_version": "1",
        "served_level": "personalised",
        "eligible_count": 9,
        "attributes_used": {"stage": "loyal"},
        "session_mode": "browsing",
    }
    return DecisionRecord(decision_id, items=tuple(items), **(given | parts))  # type: ignore[arg-type]


def item(
    item_id: str, slot: int = 1, source: str = "als", acceptance: float | None = None
) -> DecisionItem:
    return DecisionItem(item_id, slot, 1.0, source, acceptance=acceptance)


def listed(visitor: str, answer: str | None, *items: str, at: int = 0, place: str = "home") -> list:
    """Rows of one list that was shown, a number of microseconds after the start."""
    name = f"{visitor}-{answer}-{at}"
    shared: Row = {
        "event_type": "view_item_list",
        "placement": place,
        "recommendation_id": answer,
    }
    return [
        row(name, START + at, visitor, item_id=each, item_position=number, **shared)
        for number, each in enumerate(items)
    ]


def act(visitor: str, kind: str, item_id: str, at: int, answer: str | None = None) -> Row:
    """One row of something that was done."""
    name = f"{visitor}-{kind}-{item_id}-{at}"
    return row(
        name, START + at, visitor, event_type=kind, item_id=item_id, recommendation_id=answer
    )


def store_of(
    folder: Path, rows: Iterable[Row], records: Iterable[DecisionRecord] = ()
) -> StoreLayout:
    layout = StoreLayout(folder / "store")
    bring_in(layout, rows)
    intake = Intake(layout, Visitors(MemoryStore(lambda: START)), lambda: START)
    for record in records:
        assert intake.record(record) is not None
    intake.close()
    return layout


__all__ = ["MINUTE", "SECOND", "START"]
