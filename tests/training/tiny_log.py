"""A log whose right model is obvious: a checkerboard shop.

Even visitors deal with even items only, odd visitors with odd ones, so whoever has dealt with an
even item is to be shown even items. Popularity cannot know that.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from recommender.terms import ADD_TO_CART, PURCHASE, VIEW_ITEM
from training.spec import TrainingSpec, parse_spec

ITEMS = 60
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 60

# As small as it goes: these tests are about the joints, not about quality.
SETTINGS: dict[str, dict[str, object]] = {
    "als": {"factors": 8, "iterations": 3},
    "item_knn": {"neighbours": 20},
    "covisitation": {"pairs": ["view_view", "purchase_purchase"], "neighbours": 20},
    "embedding": {"factors": 8},
    "encoder": {"factors": 8, "epochs": 1, "min_steps": 30},
    "blend": {"restarts": 1, "max_users": 40},
    "evaluation": {"k": [5, 10], "bootstrap_rounds": 50, "max_users": 60},
    "ranker": {
        "cuts": 2,
        "more_cuts": 0,
        "candidates": 30,
        "rounds": 10,
        "leaves": 4,
        "min_leaf": 5,
        "min_questions": 20,
    },
    "gate": {"min_users": 10, "max_ndcg_loss": 0.2},
}
TOML = "".join(
    f"[{section}]\n" + "".join(f"{key} = {json.dumps(each)}\n" for key, each in keys.items())
    for section, keys in SETTINGS.items()
)


def tiny_spec(**sections: dict[str, object]) -> TrainingSpec:
    merged = {
        name: SETTINGS.get(name, {}) | sections.get(name, {}) for name in {**SETTINGS, **sections}
    }
    return parse_spec(merged)


def item_id(number: int) -> str:
    return f"item-{number:02d}"


def visits(
    visitors: int = 100, begin: datetime = BEGIN, days: int = DAYS, seed: int = 1
) -> pl.DataFrame:
    """Rows of the interactions table: four visits each, three views, a cart and a purchase."""
    rng = np.random.default_rng(seed)
    rows = []
    for visitor in range(visitors):
        starts = np.sort(rng.uniform(0, days - 0.1, 4))
        for start in starts:
            # A short walk along the visitor's own half of the shop, from one of three favourites.
            first = 7 * visitor + 5 * int(rng.integers(3))
            seen = [2 * ((first + step) % (ITEMS // 2)) + visitor % 2 for step in range(3)]
            done = [(VIEW_ITEM, i) for i in seen] + [(ADD_TO_CART, seen[-1]), (PURCHASE, seen[-1])]
            for minute, (event_type, item) in enumerate(done):
                at = begin + timedelta(days=float(start), minutes=minute)
                rows.append(_row(event_type, at, visitor, item))
    return pl.DataFrame(rows).sort("ts", "visitor_id", maintain_order=True)


def write_log(path: Path, frame: pl.DataFrame | None = None) -> Path:
    (visits() if frame is None else frame).write_parquet(path)
    return path


def _row(event_type: str, at: datetime, visitor: int, item: int) -> dict[str, object]:
    return {
        "event_type": event_type,
        "ts": at,
        "visitor_id": f"visitor-{visitor:03d}",
        "item_id": item_id(item),
        "price": 1.0 + item,
        "category": "even" if item % 2 == 0 else "odd",
        "brand": "acme",
        "title": f"Thing {item}",
        "transaction_id": f"order-{visitor}-{at.isoformat()}" if event_type == PURCHASE else None,
    }
