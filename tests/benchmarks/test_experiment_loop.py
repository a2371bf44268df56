"""The closed loop without its trainings: a small shop, two workers, and how findings are judged."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.experiment_loop import arguments_of, open_days, shop_of
from benchmarks.experiment_parts.decisions import GOOD, WEAK, agree, checks_of, winners
from benchmarks.experiment_parts.trials import DRAFT, HOLD, SHIP, trials
from feature_store.console import Console
from feature_store.experiment_spec import ExperimentSpec
from feature_store.layout import StoreLayout
from recommender.bundle import save_bundle
from recommender.bundle_folder import publish
from tests.serving.service import decisions
from tests.training.simulation.shops import arrays_of_shop

SMALL = (
    "--shoppers 150 --items 50 --warm-up 1 --days 1 --ids 3000 --window 0 --workers 2 --follow 2"
)


def test_shoppers_come_and_everybody_gives_the_same_arms(tmp_path: Path) -> None:
    given, root = arguments_of(SMALL.split()), tmp_path / "shop"
    shop = shop_of(given)
    next(shop.days)
    save_bundle(tmp_path / "bundle", *arrays_of_shop(shop.shop.spec, given.seed))
    version = publish(tmp_path / "bundle", StoreLayout(root).bundles)
    specs = trials(version, version)
    found = open_days(given, root, shop, {SHIP: specs[SHIP] | {"namespace": None}}, Console(True))
    assert len(found["assignments"]) == 3
    assert len({each["digest"] for each in found["assignments"]}) == 1
    assert found["assignments"][0]["arms"].keys() == {"control", "treatment"}
    traffic, logged = found["traffic"], decisions(root)
    assert traffic["answers"] == len(logged) > 20
    assert traffic["rejected"] == {}
    assert {each.assignments[0].variant for each in logged} == {"control", "treatment"}
    assert 1 <= traffic["workers_that_answered"] <= 2


def test_the_tests_share_no_shopper_and_are_acceptable() -> None:
    specs = [msgspec.convert(each, ExperimentSpec) for each in trials("0" * 16, "1" * 16).values()]
    parts = sorted((each.namespace.start, each.namespace.end) for each in specs if each.namespace)
    assert len(parts) == len(specs) == 5
    assert all(one[1] <= other[0] for one, other in pairwise(parts))


def reading(verdict: str) -> dict[str, Any]:
    metric = {"metric": "clicks_per_answer", "verdict": verdict}
    return {"refusal": None, "primary": "clicks_per_answer", "metrics": [metric]}


@pytest.fixture
def good() -> dict[str, Any]:
    """Findings in which everything is as it must be."""
    kept = {"tag": "ship", "file": "ship"}
    ship = {"decision": "ship", "champion": GOOD, "delivered": GOOD, "mlflow": kept}
    hold = ship | {"decision": "hold", "mlflow": {"tag": "hold", "file": "hold"}}
    rolled = {"tag": "roll back", "file": "roll back"}
    found = {
        "assignments": [{"digest": "a"}, {"digest": "a"}],
        "traffic": {"workers_that_answered": 4, "rejected": {}},
        "readings": {SHIP: reading("better"), HOLD: reading("worse")},
        "preference": {"verdict": "better"},
        "off_policy": {"refusal": None, "gain_refusal": None, "gain": {"low": 0.1, "high": 0.2}},
        "outside": {"refusal": "58.1% of its mass where logging has none"},
        "decisions": [ship, hold],
        "guard": {
            "broken": ["treatment: empty_share"],
            "champion_before": WEAK,
            "champion": GOOD,
            "delivered": GOOD,
            "status": "paused",
            "mlflow": rolled,
        },
    }
    return found | {"winner_by": winners(found)}


def test_findings_as_they_must_be_pass(good: dict[str, Any]) -> None:
    assert all(checks_of(good).values())
    assert good["winner_by"] == {
        "reading": GOOD,
        "reading, swapped": GOOD,
        "preference": GOOD,
        "off-policy": GOOD,
    }


@pytest.mark.parametrize(
    ("path", "value", "failed"),
    [
        (("assignments", 1, "digest"), "b", "every id has one arm everywhere"),
        (("preference", "verdict"), "worse", "test, preference and estimate agree"),
        (("preference", "verdict"), "undecided", "test, preference and estimate agree"),
        (("off_policy", "gain_refusal"), "too thin", "test, preference and estimate agree"),
        (("outside", "refusal"), None, "outside the support nothing is told"),
        (("decisions", 0, "champion"), WEAK, "the winner is promoted"),
        (("decisions", 1, "decision"), "ship", "the loser is held"),
        (("guard", "broken"), [], "the broken arm is found"),
        (("guard", "champion"), WEAK, "it is rolled back"),
        (("guard", "status"), "running", "its arms are not given any more"),
        (("guard", "mlflow", "file"), "hold", "MLflow holds every decision"),
    ],
)
def test_what_is_not_as_it_must_be_is_told(
    good: dict[str, Any], path: tuple[Any, ...], value: object, failed: str
) -> None:
    found = deepcopy(good)
    place = found
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    found["winner_by"] = winners(found)
    assert [name for name, met in checks_of(found).items() if not met] == [failed]


def test_an_estimate_counts_only_where_it_was_given() -> None:
    found = {
        "readings": {SHIP: reading("better"), HOLD: reading("undecided")},
        "preference": {"verdict": "better"},
        "off_policy": {
            "refusal": None,
            "gain_refusal": None,
            "gain": {"low": -0.2, "high": -0.1},
        },
    }
    assert winners(found)["off-policy"] == WEAK
    assert not agree(winners(found))
    assert winners(found)["reading, swapped"] == "undecided"
    assert DRAFT in trials("0" * 16, "1" * 16)
