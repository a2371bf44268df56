from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from recommender.bundle import ModelBundle, save_bundle
from recommender.placements import DEFAULT_FILE
from tests.training.conftest import Shop, Trial
from training.exam import AS_SERVED, REFITTED, set_exam, window_end
from training.promotion import (
    GATE_TAG,
    UNREADABLE,
    Contender,
    fetch_bundle,
    last_champion,
    put_through_gate,
    settle,
)
from training.registry import CHAMPION, RegisteredModel, Registry, Tracking
from training.registry_run import start_run
from training.workflow import example_question


@pytest.fixture
def contender(shop: Shop, trial: Trial) -> Contender:
    return Contender(shop.outcome.registered, trial.judged, trial.served)


def _register(shop: Shop, bundle: ModelBundle, folder: Path) -> RegisteredModel:
    """Register a model and make it the champion."""
    save_bundle(folder, bundle.arrays, bundle.manifest.info)
    with start_run(shop.bench.registry, "by hand", shop.bench.clock) as run:
        from recommender.bundle import load_bundle

        made = run.register(
            load_bundle(folder), folder, DEFAULT_FILE, example_question(bundle, "next")
        )
    shop.bench.registry.set_alias(CHAMPION, made.version)
    return made


def test_a_champion_that_has_seen_the_period_is_fitted_again(
    shop: Shop, trial: Trial, contender: Contender
) -> None:
    report = put_through_gate(trial.exam, contender, shop.bench.registry)
    assert report.champion_how == REFITTED
    # Its recipe is the challenger's: the same figure, so the floor lies just below it.
    (against,) = [c for c in report.conditions if c.name == "ndcg_against_champion"]
    floor = float(against.limit.removeprefix(">= "))
    assert floor == pytest.approx(
        against.value * (1 - trial.exam.spec.gate.max_ndcg_loss), rel=1e-3
    )


def test_a_champion_from_before_the_period_is_asked_itself(
    shop: Shop, trial: Trial, contender: Contender, tmp_path: Path
) -> None:
    made = _register(shop, trial.judged, tmp_path / "old")
    report = put_through_gate(trial.exam, contender, shop.bench.registry)
    assert report.champion_how == AS_SERVED
    assert report.champion_version == made.bundle_version


def test_a_champion_of_an_older_configuration_is_asked_itself(
    shop: Shop, trial: Trial, contender: Contender, tmp_path: Path
) -> None:
    info = replace(trial.served.manifest.info, config={"forgotten": {"section": 1}})
    manifest = replace(trial.served.manifest, info=info)
    _register(shop, replace(trial.served, manifest=manifest), tmp_path / "old")
    report = put_through_gate(trial.exam, contender, shop.bench.registry)
    assert report.champion_how is not None
    assert "although it has seen" in report.champion_how


def test_a_champion_that_cannot_be_read_does_not_stand_in_the_way(
    shop: Shop, trial: Trial, contender: Contender, tmp_path: Path
) -> None:
    made = _register(shop, trial.judged, tmp_path / "old")
    shop.bench.registry.set_tags(made.version, {"bundle_version": "0" * 16})
    report = put_through_gate(trial.exam, contender, shop.bench.registry)
    assert report.champion_how == UNREADABLE
    assert report.champion_version is None
    assert report.passed, report.reasons


def test_a_refusal_is_written_down_and_moves_nothing(
    shop: Shop, trial: Trial, contender: Contender, tmp_path: Path
) -> None:
    before = shop.bench.registry.require(CHAMPION).version
    strict = replace(trial.exam.spec, gate=replace(trial.exam.spec.gate, min_ndcg=0.99))
    report = put_through_gate(replace(trial.exam, spec=strict), contender, shop.bench.registry)
    made = _register(shop, trial.judged, tmp_path / "new")
    shop.bench.registry.set_alias(CHAMPION, before)
    assert settle(shop.bench.registry, made, report) is False
    assert shop.bench.registry.require(CHAMPION).version == before
    tags = shop.bench.registry.require(made.version).tags
    assert tags["gate"] == "refused"
    assert tags["gate.ndcg"].endswith("refused")


def test_the_same_store_sets_the_same_questions(trial: Trial) -> None:
    again = set_exam(trial.exam.store, trial.exam.spec, trial.exam.placement)
    assert again.cuts == trial.exam.cuts
    assert again.test == trial.exam.test
    assert again.k == 10


def test_the_recipe_fitted_again_is_the_judged_model(trial: Trial) -> None:
    innocent, how = trial.exam.innocent(trial.served)
    assert how == REFITTED
    assert window_end(innocent) == trial.exam.cuts.test
    assert innocent.arrays.keys() == trial.judged.arrays.keys()
    for name, array in innocent.arrays.items():
        assert array.tobytes() == trial.judged.arrays[name].tobytes()


def test_a_fetched_bundle_is_the_one_that_was_announced(shop: Shop) -> None:
    registered = shop.bench.registry.require(CHAMPION)
    assert fetch_bundle(shop.bench.registry, registered).version == registered.bundle_version


def test_the_last_champion_is_the_present_one_or_the_one_before(
    shop: Shop, trial: Trial, tmp_path: Path
) -> None:
    registry, first = shop.bench.registry, shop.outcome.registered
    assert last_champion(registry, first.bundle_version) is None
    assert _version(last_champion(registry, "another bundle")) == first.version
    second = _register(shop, trial.judged, tmp_path / "second")
    assert _version(last_champion(registry, second.bundle_version)) == first.version
    assert _version(last_champion(registry, first.bundle_version)) == second.version
    registry.set_tags(first.version, {GATE_TAG: "refused"})  # never was champion
    assert last_champion(registry, second.bundle_version) is None


def test_without_a_registry_there_is_no_last_champion(tmp_path: Path) -> None:
    registry = Registry(Tracking.in_folder(tmp_path))
    assert last_champion(registry, "any") is None
    assert registry.versions() == []
    assert list(tmp_path.iterdir()) == []


def _version(found: RegisteredModel | None) -> str | None:
    return None if found is None else found.version
