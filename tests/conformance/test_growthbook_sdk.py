"""Our assignment beside that of GrowthBook's own Python SDK, on experiments made at random."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import growthbook
import numpy as np
import pytest

from recommender.assignment import Subject, assign
from recommender.experiment import BucketFilter, Experiment, Namespace
from tests.conformance.conftest import Tally

LETTERS = "aZ9 é用\x00😀-_."
CASES = 400


def text(rng: np.random.Generator, most: int = 12) -> str:
    return "".join(LETTERS[i] for i in rng.integers(len(LETTERS), size=rng.integers(1, most)))


def ranges(rng: np.random.Generator) -> tuple[tuple[float, float], ...]:
    cuts = sorted(float(each) for each in rng.random(4).round(3))
    return ((cuts[0], cuts[1]), (cuts[2], cuts[3]))


def drawn(rng: np.random.Generator) -> tuple[Experiment, dict[str, Any]]:
    """An experiment, and the same in the words of the SDK."""
    arms = tuple(f"arm-{index}" for index in range(rng.integers(2, 5)))
    parts = rng.random(len(arms)) + 0.05
    weights = tuple((parts / parts.sum()).tolist())
    coverage, seed, key = float(rng.random()), text(rng), "test"
    start, end = sorted(float(each) for each in rng.random(2).round(3))
    ours: dict[str, Any] = {"weights": weights, "coverage": coverage}
    theirs: dict[str, Any] = {"weights": list(weights), "coverage": coverage}
    kind = rng.integers(3)
    if kind == 1:
        ours["namespace"] = Namespace("n", start, end)
        theirs["namespace"] = ("n", start, end)
    if kind == 2:
        filtered = ranges(rng)
        ours["filters"] = (BucketFilter("f", filtered),)
        theirs["filters"] = [{"seed": "f", "ranges": filtered, "attribute": "id"}]
    same = {"variations": list(arms), "seed": seed, "hashVersion": 2}
    return Experiment(key, arms, seed, unit="id", **ours), {"key": key} | same | theirs


def test_random_experiments(
    tally: Callable[[str, str], Tally], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    rng = np.random.default_rng(20261129)
    taking_part = 0
    with tally("GrowthBook SDK 4.0.0", "random experiments") as counted:
        for number in range(CASES):
            experiment, raw = drawn(rng)
            subject_id = text(rng)
            sdk = growthbook.GrowthBook(attributes={"id": subject_id})
            theirs = sdk.run(growthbook.Experiment(**raw))
            sdk.destroy()
            ours = assign(experiment, Subject({"id": subject_id}))
            taking_part += ours.in_experiment
            counted.check(
                f"{number}",
                (ours.variant, ours.in_experiment),
                (theirs.value, theirs.inExperiment),
            )
    assert 50 < taking_part < CASES - 50
