from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

import pytest

from benchmarks import training
from benchmarks.training_parts.steps import BARE, SIMULATE, TRAIN


def said(**seconds: float) -> training.Said:
    stages = [
        {"stage": name, "seconds": each, "cpu seconds": 2 * each + 1, "peak MB": 10 * each}
        for name, each in seconds.items()
    ]
    return {"stages": stages, "said": {}}


def test_ratios_are_of_the_whole_run_and_of_the_last_fit() -> None:
    found = {
        BARE: said(scan=1.0, implicit=3.0),
        TRAIN: said(
            window=2, fit_to_learn=5, blend=3, ask_1=2, teach=4, fit_to_judge=5, als=4, pace=2
        ),
    }
    figures = training.figures(found)
    assert figures["whole_vs_bare"] == 27 / 4
    assert figures["last_fit_vs_bare"] == (2 + 4 + 2) / 4
    assert figures["train peak MB"] == 50
    assert figures["whole_vs_bare_cpu"] == (2 * 27 + 8) / (2 * 4 + 2)
    assert "whole_vs_bare" not in training.figures({BARE: found[BARE]})


def test_a_step_that_does_not_end_is_missing_and_the_exit_code_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps: list[str] = []

    def run(words: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        steps.append(words[3])
        if words[3] == TRAIN:
            raise subprocess.TimeoutExpired(words, 1)
        return subprocess.CompletedProcess(words, 0, f"noise\n{json.dumps(said(one=1.0))}\n")

    monkeypatch.setattr(subprocess, "run", run)
    arguments = ["--events", "500", "--folder", str(tmp_path), "--timeout", "1"]
    assert training.main(arguments) == 2
    assert "train of 500 events: not done" in capsys.readouterr().err
    assert training.main(arguments) == 2
    # The second time the tables were there.
    assert steps == [SIMULATE, BARE, TRAIN, BARE, TRAIN]


SMALL = """
[blend]
learn = false
[ranker]
learn = false
[encoder]
min_questions = 1_000_000
[evaluation]
max_users = 20
"""


@pytest.mark.slow
def test_a_small_shop_is_simulated_scanned_and_trained_on(tmp_path: Path) -> None:
    config = tmp_path / "small.toml"
    config.write_text(SMALL)
    given = argparse.Namespace(config=str(config), timeout=600)
    found = training.measure(10_000, tmp_path, given)
    assert found[SIMULATE]["said"]["events"] == pytest.approx(10_000, rel=0.3)
    assert found[BARE]["said"]["pairs"] > 500
    names = [stage["stage"] for stage in found[TRAIN]["stages"]]
    assert {"window", "als", "fit_to_judge", "evaluate", "save"} <= {*names}
    assert training.figures(found)["whole_vs_bare_cpu"] > 1
