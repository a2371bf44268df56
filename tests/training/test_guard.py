from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import desirepath
from feature_store.layout import StoreLayout
from tests.tabling import DAY
from tests.training.evaluation.experiment.trial import KEY, act, answer, store_of
from tests.training.test_promote import registered
from training.evaluation.experiment.reading import ReadRequest
from training.experiment_spec import ExperimentSpec
from training.guard import guard
from training.promotion import GATE_TAG
from training.registry import CHAMPION, Registry

pytestmark = pytest.mark.xdist_group("mlflow")

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
    found = guard(layout, ReadRequest(KEY), SPEC, registry)
    assert found.effects == ("version 1 is the champion again, delivered as bundle-1",)
    assert delivered == [(CHAMPION, layout.bundles)]
    champion = registry.resolve(CHAMPION)
    assert champion is not None
    assert champion.version == "1"


def test_a_challenger_that_broke_it_is_marked(layout: StoreLayout, registry: Registry) -> None:
    first, _ = registered(registry), registered(registry)
    registry.set_alias(CHAMPION, first.version)
    found = guard(layout, ReadRequest(KEY), SPEC, registry)
    assert found.effects == ("version 2 is not made the champion; stop its arm of the test",)
    assert registry.require("2").tags[GATE_TAG] == "rolled back"


def test_a_model_of_both_arms_is_not_to_blame(tmp_path: Path, registry: Registry) -> None:
    first = registered(registry)
    registry.set_alias(CHAMPION, first.version)
    found = guard(failing(tmp_path / "same", "bundle-1"), ReadRequest(KEY), SPEC, registry)
    assert "no registered version of its own" in found.effects[0]
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
