from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.reports.shop import GAP, Row, many, rows_of
from training.engine import Period
from training.reports.dead_ends import DeadEnds, dead_ends, shrunk_ratios
from training.reports.touchpoints import acts_of
from training.reports.walks import walks_of


def judged(folder: Path, log: list[Row], titles: dict[str, str] | None = None) -> list[DeadEnds]:
    rows = rows_of(folder, log)
    period = Period(int(rows.ts.min()), int(rows.ts.max()) + 1)
    found = walks_of(rows, acts_of(rows), period, GAP)
    return list(dead_ends(rows, found, titles or {}, 0.95))


def shop() -> list[Row]:
    log = [
        each
        for n in range(12)
        for each in (
            *many(f"on-{n}-", 20, f"item:good-{n} search"),
            *many(f"off-{n}-", 10, f"item:good-{n}"),
        )
    ]
    return [*log, *many("trap", 40, "item:bad"), *many("rare", 2, "item:rare")]


def test_a_planted_dead_end_leads_and_a_rare_one_does_not(tmp_path: Path) -> None:
    found = next(
        each for each in judged(tmp_path, shop(), {"bad": "A thing"}) if each.kind == "item"
    )
    assert [(each.name, each.title) for each in found.found] == [("bad", "A thing")]
    bad = found.found[0]
    assert (bad.acts, bad.visits, bad.shoppers, bad.left) == (40, 40, 40, 40)
    assert bad.expected == pytest.approx(40 * (120 + 42) / (360 + 42))
    assert 1 < bad.ratio.low < bad.ratio.mean < bad.left / bad.expected  # drawn towards 1


def test_where_all_are_alike_none_stands_out(tmp_path: Path) -> None:
    log = [
        each
        for n in range(8)
        for each in (
            *many(f"on-{n}-", 20, f"item:i{n} search"),
            *many(f"off-{n}-", 10, f"item:i{n}"),
        )
    ]
    assert next(each for each in judged(tmp_path, log) if each.kind == "item").found == ()


def test_terms_of_few_shoppers_are_never_named(tmp_path: Path) -> None:
    usual = [each for n in range(10) for each in many(f"s{n}-", 30, f"search:term-{n} item:a")]
    log = [*usual, *many("x", 4, "search:jane_doe " * 10), *many("y", 40, "search:lost")]
    found = next(each for each in judged(tmp_path, log) if each.kind == "search term")
    assert [each.name for each in found.found] == ["lost"]
    assert found.withheld == 1
    assert found.groups == 12


def test_an_item_has_its_category_wherever_one_row_names_it(tmp_path: Path) -> None:
    log = many("a", 5, "click:a item:b")
    for each in log:
        if each["event_type"] == "view_item":
            each["category"] = "tea"
    log += [dict(each, category="tea") for each in many("b", 1, "item:a")]
    found = next(each for each in judged(tmp_path, log) if each.kind == "category")
    assert (found.acts, found.groups) == (11, 1)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.floats(0.1, 50)), min_size=2, max_size=30),
    st.floats(0.3, 1),
)
def test_shrunk_ratios_lie_between_their_own_and_the_mean(
    groups: list[tuple[int, float]], dispersion: float
) -> None:
    observed, expected = (np.array(each, np.float64) for each in zip(*groups, strict=True))
    ratio, low, high = shrunk_ratios(observed, expected, dispersion, 0.95)
    assert (low <= ratio).all()
    assert (ratio <= high).all()
    mean = observed.sum() / expected.sum()
    if (ratio != 1).any():
        raw = observed / expected
        assert (ratio <= np.maximum(raw, mean) + 1e-9).all()
        assert (ratio >= np.minimum(raw, mean) - 1e-9).all()


def test_fewer_acts_are_drawn_further() -> None:
    observed = np.array([4.0, 40.0, 2.0, 20.0, 1.0, 9.0])
    expected = np.array([2.0, 20.0, 4.0, 40.0, 1.0, 9.0])
    ratio, *_ = shrunk_ratios(observed, expected, 1.0, 0.95)
    assert 1 < ratio[0] < ratio[1] < 2
    assert 0.5 < ratio[3] < ratio[2] < 1
