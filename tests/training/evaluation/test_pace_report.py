from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recommender.errors import InvalidInputError
from recommender.pace import FEATURES, PaceNetwork
from recommender.terms import MODES
from training.evaluation.pace_report import judged
from training.pace_file import read_pace_file, save
from training.pace_learning import PaceSpec, Steps, judging_spec, learn, steps_of
from training.pace_summary import write_pace

SMALL = replace(PaceSpec(), fit=(1,), calibration=(2,), test=(3,), shoppers=150, days=6)


def oracle(strength: float) -> PaceNetwork:
    """Tells mode m where feature m is 1."""
    hidden = np.zeros((len(FEATURES), len(MODES)), np.float32)
    hidden[: len(MODES)] = np.eye(len(MODES)) * 20
    output = np.eye(len(MODES), dtype=np.float32) * strength
    nothing = np.zeros(len(MODES), np.float32)
    return PaceNetwork(hidden, nothing, output, nothing)


def steps(told: list[int], label: list[int], visit: list[int]) -> Steps:
    features = np.zeros((len(told), len(FEATURES)), np.float32)
    features[np.arange(len(told)), told] = 1
    number = [3 + visit[:row].count(one) for row, one in enumerate(visit)]
    return Steps(features, *(np.array(each, np.int32) for each in (label, visit, number)))


def test_figures_by_hand() -> None:
    """Two of three hurried steps right, all others; one change in the first of three visits."""
    asked = steps([0, 1, 0, 1, 2, 3], [0, 0, 0, 1, 2, 3], [0, 0, 1, 1, 2, 2])
    report = judged(oracle(50), asked, (7,))
    assert report.confusion == ((2, 1, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
    assert report.balanced_accuracy == pytest.approx((2 / 3 + 1 + 1 + 1) / 4)
    assert report.accuracy == pytest.approx(5 / 6)
    # Quite sure of everything, and right in 5 of 6.
    assert report.calibration_error == pytest.approx(1 / 6, abs=1e-6)
    assert (report.changes_per_visit, report.steady_visits, report.change_rate) == (1, 0, 1)
    assert [(each.name, each.steps) for each in report.by_depth] == [("3", 3), ("4", 3)]
    assert [each["reached"] for each in report.targets] == [True, False]


def test_being_unsure_and_right_as_often_is_no_error() -> None:
    # Every confidence is 1/4, and a quarter is right.
    asked = steps([0, 0, 0, 0], [0, 1, 2, 3], [0, 1, 2, 3])
    report = judged(oracle(0), asked, (7,))
    assert report.calibration_error == pytest.approx(0, abs=1e-6)
    assert report.steady_visits == 1


def test_the_report_is_written_for_machines_and_people(tmp_path: Path) -> None:
    report = judged(oracle(50), steps([0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]), (7,))
    paths = write_pace(report, tmp_path / "report")
    assert {path.name for path in paths} >= {"pace.json", "pace.md", "pace_confusion.png"}
    assert all(path.stat().st_size > 0 for path in paths)
    assert "balanced accuracy" in (tmp_path / "report" / "pace.md").read_text()


def test_learning_is_reproducible_and_tells_more_than_chance(tmp_path: Path) -> None:
    parts = [steps_of(seeds, SMALL) for seeds in (SMALL.fit, SMALL.calibration, SMALL.test)]
    one, other = (learn(parts[0], parts[1], SMALL) for _ in range(2))
    assert one == other
    assert judged(one.network(), parts[2], SMALL.test).balanced_accuracy > 0.4
    save(tmp_path / "pace.json", one)
    assert read_pace_file(tmp_path / "pace.json") == one


def test_what_ships_meets_its_targets_on_a_shop_of_its_own() -> None:
    spec = judging_spec((41,), 600, 12)
    report = judged(read_pace_file().network(), steps_of(spec.test, spec), spec.test)
    assert all(each["reached"] for each in report.targets), report.targets


def test_shops_that_were_learnt_from_do_not_judge() -> None:
    with pytest.raises(InvalidInputError, match="11"):
        judging_spec((11, 99), 100, 5)
    assert judging_spec((), 100, 5).test == PaceSpec().test
