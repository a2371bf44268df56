"""A store with a test in it: answers in two arms, and what their shoppers did before and after."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from feature_store.intake import Intake
from feature_store.layout import StoreLayout
from feature_store.loaders.columns import SCHEMA
from feature_store.online.memory import MemoryStore
from feature_store.online.visitors import Visitors
from feature_store.pseudonyms import Pseudonyms
from feature_store.records import AssignmentRecord, DecisionItem, DecisionRecord
from tests.tabling import DAY, HOUR, MINUTE, START, bring_in, row

KEY = "new-model"
SECRET = b"s" * 32
MODELS = ("bundle-1", "bundle-2")
NAMES = Pseudonyms(SECRET)
FIRST = START + 20 * DAY
Row = dict[str, object]


def assigned(variant: str, **parts: object) -> AssignmentRecord:
    given: dict[str, object] = {"phase": 0, "in_experiment": True, "p_arm": 0.5}
    return AssignmentRecord(KEY, variant=variant, **(given | parts))  # type: ignore[arg-type]


def answer(number: int, visitor: str, variant: str, at: int, **parts: object) -> DecisionRecord:
    """An answer to a visitor in an arm, microseconds after the test began."""
    given: dict[str, object] = {
        "request_id": f"q{number}",
        "ts_server": FIRST + at,
        "seq": 0,
        "writer": "",
        "subject_key": NAMES.of("visitor", visitor),
        "surface": "home",
        "policy_id": "top",
        "model_version": "0" * 16,
        "config_digest": "c",
        "code_version": "1",
        "served_level": "personalised",
        "items": (DecisionItem(f"i{number % 7}", 1, 1.0, "als"),),
        "eligible_count": 9,
        "latency_ms": 5.0 + number % 10,
        "assignments": (assigned(variant),),
    }
    return DecisionRecord(f"d{number}", **(given | parts))  # type: ignore[arg-type]


def act(visitor: str, at: int, kind: str = "view_item", item: str = "i", **fields: object) -> Row:
    """Something a visitor did, microseconds after the test began; may be before it."""
    name = f"{visitor}-{kind}-{item}-{at}"
    return row(name, FIRST + at, visitor, event_type=kind, item_id=item, **fields)


def store_of(
    folder: Path, rows: Iterable[Row] | pl.DataFrame, records: Iterable[DecisionRecord]
) -> StoreLayout:
    layout = StoreLayout(folder / "store")
    bring_in(layout, rows)
    layout.pseudonyms.write_bytes(SECRET)
    intake = Intake(layout, Visitors(MemoryStore(lambda: START)), lambda: START)
    for record in records:
        assert intake.record(record) is not None
    intake.close()
    return layout


def trial(
    folder: Path, shoppers: int = 600, rates: tuple[float, float] = (0.3, 0.3), lost: int = 0
) -> StoreLayout:
    """A test of ten days and a pre-period: arms take turns, each shopper is answered twice.

    Who buys is drawn at the rate of the arm, twice as often by those who had bought before.

    Parameters
    ----------
    lost
        The last so many shoppers of the treatment leave no trace.
    """
    rng = np.random.default_rng(7)
    rows, records = [], []
    for number in range(shoppers):
        arm = number % 2
        if arm and number >= shoppers - 2 * lost:
            continue
        visitor, variant = f"v{number}", ("control", "treatment")[arm]
        begin = int(rng.uniform(0, 10) * DAY)
        records += [
            answer(2 * number, visitor, variant, begin, model_version=MODELS[arm]),
            answer(2 * number + 1, visitor, variant, begin + HOUR, model_version=MODELS[arm]),
        ]
        is_loyal = rng.uniform() < 0.5
        if is_loyal:
            rows += bought(visitor, begin - 2 * DAY)
        rows += [act(visitor, begin + MINUTE * each) for each in range(1, 2 + (number // 2) % 2)]
        if rng.uniform() < rates[arm] * (1.5 if is_loyal else 0.5):
            rows += bought(visitor, begin + 2 * HOUR)
    rows.append(act("last", 20 * DAY))
    return store_of(folder, pl.DataFrame(rows, schema=SCHEMA), records)


def bought(visitor: str, at: int, price: float = 10.0) -> list[Row]:
    """Two steps and a purchase."""
    price_of = {"price": price, "quantity": 1.0, "currency": "EUR"}
    return [
        act(visitor, at, item="a"),
        act(visitor, at + MINUTE, item="b"),
        act(visitor, at + 2 * MINUTE, "purchase", "b", **price_of),
    ]
