from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recommender.errors import ConfigError
from tests.conftest import ROOT
from tests.training.search import KnownJudge, search
from training.spec import TrainingSpec
from training.tuning import TrialRow
from training.tuning_space import settings_of, space_of

TRIALS = 16


def _found(rows: tuple[TrialRow, ...]) -> list[tuple[object, ...]]:
    """What a search came to, without the trials that were cut off and the time it took."""
    return [(r.state, r.value, r.settings, r.reason) for r in rows if r.reason != "killed"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrialRow, ...]:
    searched = search(tmp_path_factory.mktemp("study") / "study.db", KnownJudge(), TRIALS)
    searched.run(lambda _: None)
    return searched.rows()


def test_it_begins_at_the_start_and_finds_something_better(
    undisturbed: tuple[TrialRow, ...],
) -> None:
    first, start = undisturbed[0], TrainingSpec()
    assert first.state == "complete"
    assert first.settings == settings_of(start, space_of(start))
    assert len(undisturbed) == TRIALS
    assert max(row.value or 0 for row in undisturbed) > (first.value or 0)


@pytest.mark.parametrize("killed_at", [0, 5, 12])
def test_a_search_that_was_killed_goes_on_and_ends_as_if_it_had_not_been(
    killed_at: int, undisturbed: tuple[TrialRow, ...], tmp_path: Path
) -> None:
    path = tmp_path / "study.db"
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.search", str(path), str(killed_at)],
        cwd=ROOT,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    resumed = search(path, KnownJudge(), TRIALS)
    killed = [row.number for row in resumed.rows() if row.reason == "killed"]
    assert killed == [resumed.ended]
    assert killed[0] >= killed_at
    seen: list[TrialRow] = []
    resumed.run(seen.append)
    assert len(seen) == TRIALS - killed[0]
    assert _found(resumed.rows()) == _found(undisturbed)


def test_a_search_that_is_done_does_nothing_and_a_longer_one_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    search(path, KnownJudge(), 3).run(lambda _: None)
    seen: list[TrialRow] = []
    search(path, KnownJudge(), 3).run(seen.append)
    assert not seen
    search(path, KnownJudge(), 5).run(seen.append)
    assert [row.number for row in seen] == [3, 4]


def test_other_data_or_another_seed_is_another_study_in_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    names = {
        search(path, KnownJudge(), 1).name,
        search(path, KnownJudge(data_digest="1" * 64), 1).name,
        search(path, KnownJudge(), 1, seed=8).name,
    }
    assert len(names) == 3


def test_without_time_only_the_start_is_tried(tmp_path: Path) -> None:
    searched = search(tmp_path / "study.db", KnownJudge(), TRIALS, timeout_seconds=0.0)
    searched.run(lambda _: None)
    assert len(searched.rows()) == 1
    row, spec = searched.best()
    assert spec.resolved == TrainingSpec().resolved
    assert row == searched.first()
    assert searched.importances() == {}


def test_a_trial_below_the_median_of_the_others_ends_early(tmp_path: Path) -> None:
    class Worse(KnownJudge):
        def value(self, spec, report):
            self.asked += 1
            report(0, -float(self.asked))
            return -float(self.asked)

    searched = search(tmp_path / "study.db", Worse(), 13)
    searched.run(lambda _: None)
    states = [row.state for row in searched.rows() if row.state != "failed"]
    assert states[:10] == ["complete"] * 10
    assert set(states[10:]) == {"pruned"}


def test_settings_that_do_not_fit_count_as_tried_and_say_why(tmp_path: Path) -> None:
    class Refusing(KnownJudge):
        def value(self, spec, report):
            if self.asked == 2:
                self.asked += 1
                raise ConfigError("no such thing; accepted: another")
            return super().value(spec, report)

    searched = search(tmp_path / "study.db", Refusing(), 5)
    searched.run(lambda _: None)
    states = [(row.state, row.reason) for row in searched.rows()]
    assert states[2] == ("failed", "no such thing; accepted: another")
    assert [state for state, _ in states].count("complete") == 4
