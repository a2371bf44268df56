from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import experiments
from benchmarks.experiments import CHECKS, Figure, Sizes, measure

SHORT = Sizes(
    same=60,
    same_shoppers=1_000,
    ratio=1_000,
    sequences=100,
    sequence_shoppers=4_000,
    lists=400,
    seeds=20,
    subjects=20_000,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_short_measurement_is_accepted(check: object) -> None:
    figures = list(check(SHORT, np.random.default_rng([1, CHECKS.index(check)])))
    assert figures
    # Few runs: the bounds of 200 A/A tests are twice as wide here.
    for each in figures:
        slack = 0.04 if each.name.startswith("A/A") else 0.0
        assert each.low - slack <= each.value <= each.high + slack, each


def test_the_same_seed_gives_the_same_figures() -> None:
    tiny = Sizes(
        same=3,
        same_shoppers=300,
        ratio=20,
        sequences=3,
        sequence_shoppers=900,
        lists=40,
        seeds=3,
        subjects=200,
    )
    assert measure(tiny, 4) == measure(tiny, 4)
    assert measure(tiny, 4) != measure(tiny, 5)


def test_a_figure_beyond_its_bounds_is_not_accepted() -> None:
    assert not Figure("x", 0.1, 0.2, 0.3).passed
    assert Figure("x", 0.2, 0.2, 0.3).passed


def test_seeds_that_depend_on_each_other_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = experiments.buckets_of

    def lazy(seed: str, ids: list[str]) -> np.ndarray:
        return whole("one" if seed in {"test-3", "test-7"} else seed, ids)

    monkeypatch.setattr(experiments, "buckets_of", lazy)
    figures = list(experiments.independence(SHORT, np.random.default_rng(1)))
    assert [each.passed for each in figures if "largest" in each.name] == [False]


def test_figures_can_be_written_as_json() -> None:
    figures = experiments.independence(SHORT, np.random.default_rng(1))
    found = json.loads(json.dumps([experiments._plain(each) for each in figures]))
    assert [each["passed"] for each in found] == [True, True]
