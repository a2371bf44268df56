from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from typer.testing import CliRunner

import desirepath
from feature_store.experiment_change import created
from feature_store.experiment_folder import ExperimentFolder
from feature_store.experiment_spec import ExperimentSpec as ExperimentFile
from feature_store.layout import StoreLayout
from tests.serving.experiments import ask, make
from tests.serving.service import in_process, publish_shop, wait_for
from tests.tabling import DAY
from tests.training.evaluation.experiment.trial import KEY, act, answer, store_of
from tests.training.test_promote import registered
from training.evaluation.experiment.reading import ReadRequest
from training.experiment_spec import ExperimentSpec
from training.guard import GUARD, Means, guard, paused
from training.promotion import GATE_TAG
from training.registry import CHAMPION, Registry

SPEC = ExperimentSpec(tuned_subjects=400)


def failing(folder: Path, treatment: str = "bundle-2") -> StoreLayout:
    """A young test whose treatment is answered by a model that fails every second time."""
    records = []
    for number in range(600):
        arm = ("control", "treatment")[number % 2]
        is_failed = arm == "treatment" and number % 4 == 1
        parts = {
            "model_version": treatment if number % 2 else "bundle-1",
            "degraded_reason": "model" if is_failed else None,
            "latency_ms": 5.0,
        }
        records.append(answer(number, f"v{number}", arm, number, **parts))
    return store_of(folder, [act("v0", DAY)], records)


@pytest.fixture
def layout(tmp_path: Path) -> StoreLayout:
    return failing(tmp_path)


def test_a_broken_guardrail_is_only_said_without_a_registry(layout: StoreLayout) -> None:
    found = guard(layout, ReadRequest(KEY), SPEC, None)
    assert found.broken == ("treatment: error_share",)
    assert found.effects == ()
    assert found.is_alarm
    assert found.summary["broken"] == ["treatment: error_share"]


def test_the_champion_that_broke_it_gives_way_and_the_one_before_is_delivered(
    layout: StoreLayout, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = registered(registry), registered(registry)
    registry.set_tags(first.version, {GATE_TAG: "passed"})
    registry.set_alias(CHAMPION, second.version)
    delivered: list[tuple[str, Path]] = []

    def deliver(_: Registry, alias: str, to: Path) -> SimpleNamespace:
        delivered.append((alias, to))
        return SimpleNamespace(outcome="delivered", folder=to / "bundle-1")

    monkeypatch.setattr("training.guard.deliver", deliver)
    found = guard(layout, ReadRequest(KEY), SPEC, Means(registry, 7))
    assert found.effects[1:] == ("version 1 is the champion again, delivered as bundle-1",)
    assert delivered == [(CHAMPION, layout.bundles)]
    champion = registry.resolve(CHAMPION)
    assert champion is not None
    assert champion.version == "1"


def test_a_challenger_that_broke_it_is_marked(layout: StoreLayout, registry: Registry) -> None:
    first, _ = registered(registry), registered(registry)
    registry.set_alias(CHAMPION, first.version)
    found = guard(layout, ReadRequest(KEY), SPEC, Means(registry, 7))
    assert "no experiment" in found.effects[0]
    assert found.effects[1:] == ("version 2 is not made the champion",)
    assert registry.require("2").tags[GATE_TAG] == "rolled back"


def test_the_experiment_is_paused_once(layout: StoreLayout, registry: Registry) -> None:
    folder = ExperimentFolder(layout.experiments)
    arms = [{"key": "control", "weight": 0.5}, {"key": "treatment", "weight": 0.5}]
    spec = msgspec.convert({"status": "running", "arms": arms}, ExperimentFile)
    folder.change(KEY, lambda _: created(KEY, spec, "me", 1))
    assert guard(layout, ReadRequest(KEY), SPEC, None).effects == ()
    assert folder.read(KEY) == created(KEY, spec, "me", 1)
    found = guard(layout, ReadRequest(KEY), SPEC, Means(registry, 7))
    assert found.effects[0] == f"experiment {KEY} is paused: nobody is given its arms"
    stored = folder.read(KEY)
    assert stored is not None
    assert (stored.spec.status, stored.current.by, stored.current.at) == ("paused", GUARD, 7)
    assert not stored.experiment.is_running
    again = guard(layout, ReadRequest(KEY), SPEC, Means(registry, 8))
    assert again.effects[0] == f"experiment {KEY} is paused"
    assert folder.read(KEY) == stored


def test_what_was_paused_is_not_served_any_more(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    publish_shop(root)
    with in_process(root) as client:
        make(client, "test", {"key": "control"}, {"key": "short", "placement": {"limit": 2}})
        assert ask(client)["assignments"][0]["in_experiment"]
        paused(ExperimentFolder(StoreLayout(root).experiments), "test", 9)
        wait_for(lambda: ask(client).get("assignments", []) == [])


def test_nothing_is_paused_while_nothing_is_broken(layout: StoreLayout, registry: Registry) -> None:
    spec = replace(SPEC, max_error_gain=1.0)
    assert guard(layout, ReadRequest(KEY), spec, Means(registry, 7)).effects == ()


def test_a_model_of_both_arms_is_not_to_blame(tmp_path: Path, registry: Registry) -> None:
    first = registered(registry)
    registry.set_alias(CHAMPION, first.version)
    found = guard(
        failing(tmp_path / "same", "bundle-1"), ReadRequest(KEY), SPEC, Means(registry, 7)
    )
    assert "no registered version of its own" in found.effects[1]
    champion = registry.resolve(CHAMPION)
    assert champion is not None
    assert champion.version == "1"


def test_what_is_tolerated_breaks_nothing(layout: StoreLayout) -> None:
    found = guard(layout, ReadRequest(KEY), replace(SPEC, max_error_gain=1.0), None)
    assert found.broken == ()
    assert not found.is_alarm


@pytest.mark.parametrize("more", [[], ["--watch"]])
def test_the_verb_gives_the_alarm(
    layout: StoreLayout, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    monkeypatch.setattr("training.experiment_cli.stop_event", threading.Event)
    words = ["experiment", "guard", KEY, "--root", str(layout.root), "--json", *more]
    done = CliRunner().invoke(desirepath.command_line(), words, catch_exceptions=False)
    assert done.exit_code == 1
    assert json.loads(done.stdout)["broken"] == ["treatment: error_share"]
    assert not (layout.root / "mlflow.db").exists()


def test_a_watch_goes_on_while_nothing_is_broken(
    layout: StoreLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "training.toml"
    config.write_text("[experiment]\nmax_error_gain = 1.0\n")
    looks: list[float] = []
    stop = SimpleNamespace(wait=lambda seconds: looks.append(seconds) or len(looks) == 2)
    monkeypatch.setattr("training.experiment_cli.stop_event", lambda: stop)
    words = ["experiment", "guard", KEY, "--root", layout.root, "--config", config, "--watch"]
    done = CliRunner().invoke(
        desirepath.command_line(), [*map(str, words), "--interval", "7"], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert looks == [7.0, 7.0]
