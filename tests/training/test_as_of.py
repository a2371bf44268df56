"""Training as of a moment: whatever happened or arrived after it changes nothing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from feature_store.catalogue_file import install_catalogue
from feature_store.layout import StoreLayout
from recommender.placements import Placement
from tests.tabling import DAY, HOUR, MINUTE, START, bring_in, row
from training.engines.local import LocalEngine
from training.spec import parse_spec
from training.trainer import Trained, Trainer

Rows = list[dict[str, object]]

MOMENT = START + 40 * DAY + 12 * HOUR
SPEC = parse_spec(
    {
        "als": {"factors": 4, "iterations": 3},
        "blend": {"restarts": 1, "min_users": 5},
        "evaluation": {"bootstrap_rounds": 20},
        "encoder": {"factors": 8, "epochs": 1, "min_steps": 30},
        "ranker": {
            "more_cuts": 0,
            "candidates": 20,
            "rounds": 5,
            "leaves": 4,
            "min_leaf": 5,
            "min_questions": 20,
        },
    }
)


def past() -> Rows:
    rng = random.Random(0)
    return [
        row(
            f"e{number}",
            MOMENT - rng.randrange(1, 40 * 24 * 60) * MINUTE,
            f"v{rng.randrange(40)}",
            item_id=f"i{rng.randrange(20)}",
            price=5.0,
            category="tea",
        )
        for number in range(800)
    ]


def afterwards(ts: int, *, available_at: int | None = None, **fields: object) -> Rows:
    given = fields | {"available_at": ts if available_at is None else available_at}
    return [
        row(f"later{number}", ts, f"v{number}", **(given | {"item_id": f"i{number}"}))
        for number in range(12)
    ]


def train(root: Path, rows: Rows, shop_file: str | None = None) -> Trained:
    layout = StoreLayout(root / "store")
    assert bring_in(layout, rows).rejected == {}
    if shop_file is not None:
        (root / "shop.csv").write_text(shop_file)
        install_catalogue(root / "shop.csv", layout)
    (root / "work").mkdir()
    trainer = Trainer(LocalEngine(), SPEC, Placement("next"), root / "work")
    return trainer.train(layout, MOMENT)


def same(one: Trained, other: Trained) -> None:
    assert one.model.info == other.model.info
    assert one.report == other.report
    for name, array in one.model.arrays.items():
        assert array.tobytes() == other.model.arrays[name].tobytes(), name


LATER = {
    "logins on the same day": afterwards(MOMENT + HOUR, event_type="identify", user_id="bob"),
    "logins at the moment itself": afterwards(MOMENT, event_type="identify", user_id="bob"),
    "logins that arrived later": afterwards(
        MOMENT - DAY, available_at=MOMENT + 1, event_type="identify", user_id="bob"
    ),
    "other names and prices": afterwards(
        MOMENT + HOUR, title="new", category="coffee", brand="new", price=99.0
    ),
    "names that arrived later": afterwards(
        MOMENT - DAY, available_at=MOMENT, title="new", category="coffee", price=99.0
    ),
}


@pytest.mark.parametrize("later", LATER.values(), ids=LATER.keys())
def test_nothing_known_later_changes_what_is_learnt(tmp_path: Path, later: Rows) -> None:
    same(train(tmp_path / "then", past()), train(tmp_path / "later", past() + later))


def test_prices_and_stock_of_the_shops_file_are_those_of_now(tmp_path: Path) -> None:
    """The file has no history: while the log goes on after the moment, only its texts are taken."""
    later = [*past(), row("next", MOMENT + DAY, "v1", item_id="new", price=9.0)]
    titles = "item_id,title\ni1,Cup\n"
    facts = "item_id,title,price,available\ni1,Cup,77,no\nnew,Novelty,9,yes\n"
    same(train(tmp_path / "one", later, titles), train(tmp_path / "other", later, facts))


def test_prices_and_stock_hold_when_nothing_came_after(tmp_path: Path) -> None:
    trained = train(tmp_path, past(), "item_id,price,available\ni1,77,no\n")
    catalogue = trained.model.bundle().catalogue
    item = catalogue.ids.index("i1")
    assert item is not None
    assert (catalogue.item_price[item], bool(catalogue.item_available[item])) == (77.0, False)
