from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from benchmarks.open_bandit import lines, main, mean_propensities, questions, shares


@pytest.mark.shared
def test_bts_is_found_from_the_random_log_and_the_reverse_is_refused(shared_path: Path) -> None:
    by_shares, by_means, reverse = questions(shared_path / "data" / "open_bandit")
    for question in (by_shares, by_means):
        assert question.verdict.refusal is None
        assert question.verdict.diagnosis.ess > 1000
        assert question.verdict.diagnosis.warning is None
        for estimate in question.verdict.estimates:
            assert estimate.low <= question.truth.high
            assert estimate.high >= question.truth.low
    assert reverse.verdict.refusal is not None
    assert "effective sample size" in reverse.verdict.refusal
    assert reverse.verdict.estimates == ()
    assert any("refused" in line for line in lines(reverse))


def test_policies_by_position_sum_to_one() -> None:
    log = pl.DataFrame(
        {
            "item_id": [1, 1, 2, 1],
            "position": [1, 1, 1, 2],
            "click": [0, 1, 0, 0],
            "propensity_score": [0.6, 0.8, 0.2, 0.5],
        }
    )
    found = shares(log).sort("position", "item_id")["target"].to_list()
    assert found == pytest.approx([2 / 3, 1 / 3, 1])
    found = mean_propensities(log).sort("position", "item_id")["target"].to_list()
    assert found == pytest.approx([0.7 / 0.9, 0.2 / 0.9, 1])


def test_a_missing_log_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(tmp_path)]) == 1
    assert "random_women" in capsys.readouterr().err
