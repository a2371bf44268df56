"""Off-policy estimates of a synthetic log whose answers are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conformance.conftest import Tally
from training.evaluation.off_policy import (
    LoggedChoices,
    diagnose,
    direct,
    doubly_robust,
    ips,
    judge,
    normalised_doubly_robust,
    snips,
)


@pytest.fixture(scope="module")
def oracle(shared_path: Path) -> dict[str, Any]:
    file = shared_path / "conformance" / "ope" / "synthetic_bandit_oracle.json"
    found: dict[str, Any] = json.loads(file.read_text())
    return found


@pytest.mark.shared
def test_the_oracle_is_met_to_1e_12(
    oracle: dict[str, Any], tally: Callable[[str, str], Tally]
) -> None:
    rows = oracle["rows"]
    action = np.array([row["action"] for row in rows])
    policy, model = (np.array([row[name] for row in rows]) for name in ("pi_e", "q_hat"))
    at = np.arange(len(rows)), action
    log = LoggedChoices(
        reward=np.array([row["reward"] for row in rows], np.float64),
        propensity=np.array([row["propensity"] for row in rows], np.float64),
        target=policy[at],
        predicted=model[at],
        expected=(policy * model).sum(axis=1),
    )
    found = {
        "ipw": ips(log).value,
        "snipw": snips(log).value,
        "dm": direct(log).value,
        "dr": doubly_robust(log).value,
        "sndr": normalised_doubly_robust(log).value,
    }
    diagnosis = diagnose(log)
    found |= {
        "mean_w": diagnosis.mean_weight,
        "ess": diagnosis.ess,
        "max_w": diagnosis.max_weight,
    }
    with tally("bandit oracle", "to 1e-12") as counted:
        for where in ("expected", "expected_obp"):
            for name in found.keys() & oracle[where].keys():
                expected = pytest.approx(oracle[where][name], abs=1e-12, rel=1e-12)
                counted.check(f"{where} {name}", found[name], expected)
    assert found.keys() <= oracle["expected"].keys()
    truth = oracle["expected"]["truth"]
    for each in judge(log).estimates:
        assert abs(each.value - truth) <= 3 * each.error or each.name == "DM"
    assert diagnosis.choices == oracle["n"]
