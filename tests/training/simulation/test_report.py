from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recommender.errors import DataError
from tests.training.simulation.shops import START, Ran
from training.simulation.figures import behaviour_figures
from training.simulation.reference import WIDENING, bands
from training.simulation.report import Comparison, Tally, compare
from training.simulation.run import RunRequest, run
from training.simulation.shop import Shop


def tally_of(ran: Ran) -> Tally:
    tally = Tally()
    for log in ran.logs:
        tally.add(log)
    return tally


def test_the_tally_measures_what_the_emitted_rows_say(ran: Ran) -> None:
    rows = ran.rows.filter(pl.col("item_id").is_not_null()).select(
        "event_type", "ts", visitor="visitor_id", item="item_id"
    )
    expected = behaviour_figures(rows)
    figures = tally_of(ran).figures(21)
    assert {name: figures[name] for name in expected} == pytest.approx(expected, rel=1e-3)


def test_the_tally_counts_every_event(ran: Ran) -> None:
    assert tally_of(ran).events == ran.count()
    assert tally_of(ran).visits == ran.visits.height


def test_a_band_is_the_span_of_the_real_logs_widened() -> None:
    found = bands({"one": {"a": 2.0, "b": 8.0}, "two": {"a": 4.0}})
    assert found == {
        "a": (2.0 * (1 - WIDENING), 4.0 * (1 + WIDENING)),
        "b": (8.0 * (1 - WIDENING), 8.0 * (1 + WIDENING)),
    }


@pytest.mark.parametrize(
    ("value", "within"), [(1.0, True), (2.0, True), (0.99, False), (2.01, False), (None, False)]
)
def test_a_figure_is_within_its_band_or_not(value: float | None, within: bool) -> None:
    assert Comparison("a", value, {"real": 1.5}, 1.0, 2.0).within is within


def test_missing_data_sets_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="rees46_sample"):
        run(RunRequest(tmp_path / "run", START, days=1), tmp_path)
    assert not (tmp_path / "run").exists()


def test_figures_stand_beside_the_logs_that_have_them() -> None:
    beside = compare({"a": 1.0, "c": None}, {"one": {"a": 2.0, "b": 8.0}, "two": {"c": 1.0}})
    assert [(one.figure, one.real, one.within) for one in beside] == [
        ("a", {"one": 2.0}, False),
        ("c", {"two": 1.0}, False),
    ]


@pytest.mark.shared
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_default_shop_is_within_the_bands_of_the_real_logs(
    seed: int, real: dict[str, dict[str, float]], tmp_path: Path
) -> None:
    tally = Tally()
    for log in Shop(RunRequest(tmp_path, START).spec, np.random.default_rng(seed)).days():
        tally.add(log)
    comparison = compare(tally.figures(30), real)
    assert {one.figure for one in comparison} == set(tally.figures(30))
    outside = {one.figure: (one.value, one.low, one.high) for one in comparison if not one.within}
    assert outside == {}
