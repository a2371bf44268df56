from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_store.layout import StoreLayout
from feature_store.records import DecisionRecord
from recommender.acceptance import Acceptance, acceptance_arrays
from recommender.bundle import save_bundle
from recommender.bundle_folder import publish
from recommender.errors import DataError
from tests.bundles import shop_arrays, shop_info
from tests.tabling import DAY, MINUTE, START
from tests.training.reports.lists import Row, act, decision, item, listed, store_of
from training.engine import Period
from training.evaluation.bootstrap import Interval
from training.reports.expectation import (
    KEPT,
    OPEN,
    TOO_FEW,
    TOO_LITTLE,
    TOO_MUCH,
    ExpectationReport,
    Gap,
    report_expectation,
    verdict_of,
)
from training.reports.page import render_expectation
from training.sections import EvaluationSpec

SPEC = EvaluationSpec(bootstrap_rounds=200)
PERIOD = Period(START, START + DAY)


def shop(shoppers: int, every: int, promise: float | None, **parts: object) -> tuple[list, list]:
    """Each shopper is shown two items; of every so many one takes up the first."""
    rows: list[Row] = []
    records: list[DecisionRecord] = []
    mark = "-".join(map(str, parts.values()))
    for n in range(shoppers):
        answer = f"r{mark}{n}"
        rows += listed(f"v{mark}{n}", answer, "a", "b")
        if n % every == 0:
            rows.append(act(f"v{mark}{n}", "select_item", "a", MINUTE, answer))
        items = [item("a", 1, acceptance=promise), item("b", 2, acceptance=promise)]
        records.append(decision(answer, items, **parts))
    return rows, records


def report(folder: Path, *shops: tuple[list, list]) -> ExpectationReport:
    rows = [each for some, _ in shops for each in some]
    records = [each for _, some in shops for each in some]
    return report_expectation(store_of(folder, rows, records), PERIOD, SPEC, 0.2)


def gap_of(found: ExpectationReport, dimension: str, name: str) -> Gap:
    (gap,) = [each for each in found.gaps if (each.dimension, each.name) == (dimension, name)]
    return gap


def test_promise_and_delivery_by_group(tmp_path: Path) -> None:
    kept = shop(200, 5, 0.1, surface="home")
    broken = shop(200, 5, 0.4, surface="cart", session_mode="hurried", attributes_used={})
    found = report(tmp_path, kept, broken)
    home, cart = gap_of(found, "placement", "home"), gap_of(found, "placement", "cart")
    assert (home.shown, home.taken, home.predicted) == (400, 40, pytest.approx(0.1))
    assert home.gap is not None
    assert home.gap.mean == pytest.approx(0, abs=1e-9)
    assert home.gap.low < 0 < home.gap.high
    assert cart.gap is not None
    assert cart.gap.mean == pytest.approx(40 / 160 - 1)
    assert cart.verdict == TOO_MUCH
    assert gap_of(found, "all", "all").predicted == pytest.approx(0.25)
    # Stage and mode part the same rows.
    assert gap_of(found, "stage", "loyal").shown == gap_of(found, "stage", "unknown").shown == 400
    assert gap_of(found, "session mode", "hurried").gap == cart.gap
    assert found.counts["predicted when they were answered"] == 800


def test_reliability_parts_rows_by_what_was_predicted(tmp_path: Path) -> None:
    kept = shop(100, 5, 0.1, surface="home")
    broken = shop(100, 5, 0.4, surface="cart")
    found = report(tmp_path, kept, broken)
    assert [(each.low, each.high, each.shown) for each in found.reliability] == [
        (0.1, 0.1, 200),
        (0.4, 0.4, 200),
    ]
    assert found.calibration_error == pytest.approx(0.15)


def test_the_delivered_model_is_asked_where_no_record_says(tmp_path: Path) -> None:
    rows, records = shop(30, 3, None)
    layout = store_of(tmp_path, rows, records)
    with pytest.raises(DataError, match="nothing that was shown has a prediction"):
        report_expectation(layout, PERIOD, SPEC, 0.2)
    deliver(layout, tmp_path / "bundle")
    found = report_expectation(layout, PERIOD, SPEC, 0.2)
    assert gap_of(found, "all", "all").predicted == pytest.approx((0.5 + 0.25) / 2)
    assert found.counts["predicted by the model that is delivered now"] == 60


def deliver(layout: StoreLayout, bundle: Path) -> None:
    curves = Acceptance({"": (0.2, 0.1), "home": (0.5, 0.25)})
    save_bundle(bundle, shop_arrays() | acceptance_arrays(curves), shop_info())
    publish(bundle, layout.bundles)


@pytest.mark.parametrize(
    ("gap", "verdict"),
    [
        (None, TOO_FEW),
        (Interval(0, -0.2, 0.2), KEPT),
        (Interval(0, -0.3, 0.1), OPEN),
        (Interval(0.1, -0.1, 0.3), OPEN),
        (Interval(0, -0.9, 0.9), OPEN),
        (Interval(-0.5, -0.6, -0.21), TOO_MUCH),
        (Interval(0.5, 0.21, 0.6), TOO_LITTLE),
    ],
)
def test_a_verdict_takes_the_whole_interval(gap: Interval | None, verdict: str) -> None:
    assert verdict_of(gap, 0.2) == verdict


def pages(folder: Path) -> Iterator[str]:
    yield render_expectation(report(folder / "few", shop(3, 2, 0.1)).figures)
    evil = "<script>alert(1)</script>$\\frac{"
    yield render_expectation(report(folder / "evil", shop(60, 9, 0.9, surface=evil)).figures)


def test_the_page_has_the_figures_and_nothing_of_the_log_runs(tmp_path: Path) -> None:
    few, evil = pages(tmp_path)
    assert "too few to speak of shares" in few
    assert "<script" not in evil
    assert "&lt;script&gt;" in evil
    assert "Beyond the tolerance" in evil
    assert evil.count("<img") == 2


def test_the_same_log_gives_the_same_bytes(tmp_path: Path) -> None:
    one = report(tmp_path / "one", shop(40, 4, 0.1))
    rows, records = shop(40, 4, 0.1)
    other = report(tmp_path / "two", (rows[::-1], records[::-1]))
    assert one.to_json() == other.to_json()
    assert render_expectation(one.figures) == render_expectation(other.figures)
