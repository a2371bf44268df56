from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow.artifacts
import msgspec
import pytest
from mlflow.exceptions import MlflowException
from typer.testing import CliRunner

import desirepath
from feature_store.console import Console
from feature_store.experiment_change import created
from feature_store.experiment_folder import ExperimentFolder
from feature_store.experiment_spec import ExperimentSpec
from recommender.errors import InvalidInputError
from recommender.placements import DEFAULT_FILE
from tests.training.conftest import Shop
from tests.training.evaluation.experiment.test_drafts import GOOD, POOR, lists
from tests.training.evaluation.experiment.trial import KEY, trial
from training.evaluation.off_policy import Diagnosis, Estimate
from training.evaluation.off_policy_report import OffPolicyReport
from training.gate import Condition, GateReport
from training.promote import PromoteRequest, promote, read_estimate
from training.promotion import GATE_TAG
from training.reevaluation import Judged
from training.registry import CHAMPION, RegisteredModel, Registry
from training.registry_run import start_run
from training.settlement import DECISION_TAG, settle_verdict
from training.spec import TrainingSpec
from training.verdict import HOLD, ROLL_BACK, SHIP, Finding, Verdict
from training.workflow import Workbench

NOW = 1_800_000_000_000_000
GATE = GateReport("new", "old", (Condition("ndcg", 0.2, ">= 0.1", passed=True),))


def verdict(says: str) -> Verdict:
    return Verdict((Finding("experiment", says, "because"),))


def registered(registry: Registry) -> RegisteredModel:
    """A new version, as far as the registry knows; there is no bundle behind it."""

    def make(client: Any) -> Any:
        name = registry.tracking.model
        with contextlib.suppress(MlflowException):  # it is there
            client.create_registered_model(name)
        number = len(client.search_model_versions(f"name='{name}'")) + 1
        tags = {"bundle_version": f"bundle-{number}"}
        return client.create_model_version(name, f"runs:/{run.run_id}/bundle", run.run_id, tags)

    with start_run(registry, "by hand", lambda: NOW) as run:
        made = registry.call("register", make)
    return registry.require(str(made.version))


def decision_of(registry: Registry, run_id: str) -> dict[str, object]:
    def load(_: Any) -> str:
        return mlflow.artifacts.load_text(f"runs:/{run_id}/gate/decision.json")

    found: dict[str, object] = json.loads(registry.call("load", load))
    return found


def test_what_is_held_changes_no_alias_and_never_counts_as_a_champion(registry: Registry) -> None:
    first, second = registered(registry), registered(registry)
    assert settle_verdict(registry, first, GATE, verdict(SHIP)).champion == "1"
    assert settle_verdict(registry, second, GATE, verdict(HOLD)).champion == "1"
    tags = registry.require("2").tags
    assert (tags[GATE_TAG], tags[DECISION_TAG]) == ("held", "hold")
    decision = decision_of(registry, second.run_id)
    assert decision["decision_reasons"] == ["experiment: because"]
    assert decision["effect"] == "version 2 is not made the champion"


def test_a_broken_champion_gives_way_to_the_one_before(registry: Registry) -> None:
    first, held, third = (registered(registry) for _ in range(3))
    for made, says in ((first, SHIP), (held, HOLD), (third, SHIP)):
        settle_verdict(registry, made, GATE, verdict(says))
    # Held while it serves: nothing speaks against it strongly enough to take it away.
    assert settle_verdict(registry, third, GATE, verdict(HOLD)).champion == "3"
    assert registry.require("3").tags[GATE_TAG] == "passed"
    done = settle_verdict(registry, third, GATE, verdict(ROLL_BACK))
    assert (done.champion, done.note) == ("1", "version 1 is the champion again")
    assert registry.require("3").tags[GATE_TAG] == "rolled back"
    champion = registry.resolve(CHAMPION)
    assert champion is not None
    assert champion.version == "1"


def test_without_one_before_it_the_champion_stays(registry: Registry) -> None:
    only = registered(registry)
    settle_verdict(registry, only, GATE, verdict(SHIP))
    done = settle_verdict(registry, only, GATE, verdict(ROLL_BACK))
    assert done.champion == "1"
    assert "there is none before it" in done.note


Prepare = Callable[[Path], tuple[Workbench, RegisteredModel]]


@pytest.fixture
def prepare(new_registry: Callable[[Path], Registry], monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """Makes a registry in a folder, with a champion and a second version that passes its gate."""

    def make(folder: Path) -> tuple[Workbench, RegisteredModel]:
        registry = new_registry(folder)
        first, second = registered(registry), registered(registry)
        settle_verdict(registry, first, GATE, verdict(SHIP))
        judged = Judged(second, TrainingSpec(), GATE)
        monkeypatch.setattr("training.promote.judge_again", lambda *_: judged)
        bench = Workbench(None, registry, lambda: NOW, Console())  # type: ignore[arg-type]
        return bench, second

    return make


@pytest.mark.parametrize(
    ("rates", "decision", "champion"),
    [((0.2, 0.6), "ship", "2"), ((0.6, 0.2), "hold", "1")],
)
def test_the_winner_is_promoted_and_the_loser_is_held(
    tmp_path: Path,
    prepare: Prepare,
    rates: tuple[float, float],
    decision: str,
    champion: str,
) -> None:
    layout = trial(tmp_path, shoppers=500, rates=rates)
    bench, second = prepare(layout.root)
    config = tmp_path / "training.toml"
    config.write_text("[experiment]\ntuned_subjects = 400\n")
    request = PromoteRequest("2", layout, DEFAULT_FILE, experiment=(KEY, None, None), config=config)
    found = promote(request, bench)
    assert (found.verdict.decision, found.settlement.champion) == (decision, champion)
    assert found.is_shipped == (decision == "ship")
    registry = bench.registry
    kept = decision_of(registry, second.run_id)
    assert kept["decision"] == decision
    assert (layout.root / "reports" / f"experiment-{KEY}" / "reading.json").exists()
    runs = registry.call("runs", lambda client: client.search_runs(["1"]))
    assert f"experiment {KEY}" in {run.info.run_name for run in runs}


@pytest.mark.parametrize(("rankings", "decision"), [((POOR, GOOD), "ship"), ((GOOD, POOR), "hold")])
def test_a_preference_decides_on_the_version_that_drafted(
    tmp_path: Path,
    prepare: Prepare,
    rankings: tuple[str, str],
    decision: str,
) -> None:
    layout = lists(tmp_path, rankings, model_version="bundle-1", drafted_with="bundle-2")
    arms = [{"key": "control", "weight": 0.5}, {"key": "treatment", "weight": 0.5}]
    arms[1] |= {"bundle": "challenger"}
    raw = {"status": "running", "kind": "interleave", "arms": arms}
    spec = msgspec.convert(raw, ExperimentSpec)
    ExperimentFolder(layout.experiments).change(KEY, lambda _: created(KEY, spec, "me", 1))
    bench, second = prepare(layout.root)
    config = tmp_path / "training.toml"
    config.write_text("[experiment]\ntuned_subjects = 400\nleast_subjects = 50\n")
    request = PromoteRequest("2", layout, DEFAULT_FILE, config=config, preference=KEY)
    found = promote(request, bench)
    assert found.verdict.decision == decision
    assert decision_of(bench.registry, second.run_id)["decision"] == decision
    assert (layout.root / "reports" / f"experiment-{KEY}" / "preference.json").exists()
    asked_wrongly = replace(request, preference=None, experiment=(KEY, None, None))
    with pytest.raises(InvalidInputError, match=f"accepted: --preference {KEY}"):
        promote(asked_wrongly, bench)
    with pytest.raises(InvalidInputError, match="treatment 'new'"):
        promote(replace(request, experiment=(None, None, "new")), bench)


def report_of(candidate: str, lift: Estimate | None, refusal: str | None = None) -> bytes:
    """As `desirepath evaluate --off-policy` writes it: the log earned 0.1."""
    return OffPolicyReport(
        candidate=candidate,
        asked="as it serves",
        logged_models=("a",),
        reward="clicks",
        period_start="2026-01-01",
        period_end="2026-01-31",
        lists=100,
        subjects=50,
        counts={"kept": 100},
        observed=Estimate("served", 0.1, 0.01, 0.08, 0.12),
        same_lists=0.5,
        diagnosis=Diagnosis(100, 1.0, 0.1, 90.0, 2.0, 0.0),
        lift=lift,
        refusal=refusal,
    ).to_json()


def test_promote_reads_an_estimate(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "off_policy.json"
    worse = Estimate("RIPS less served", -0.09, 0.005, -0.1, -0.08)
    words = ["promote", "--model", "1", "--out", str(shop.layout.root), "--off-policy", str(path)]
    version = shop.outcome.registered.bundle_version
    path.write_bytes(report_of("another", worse))
    with pytest.raises(InvalidInputError, match="is about bundle another; accepted: "):
        CliRunner().invoke(desirepath.command_line(), words, catch_exceptions=False)
    path.write_bytes(report_of(version, worse))
    done = CliRunner().invoke(desirepath.command_line(), [*words, "--json"], catch_exceptions=False)
    found = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (found["passed"], found["decision"], found["champion"]) == (True, "hold", "1")
    assert "the log earned 0.1" in found["decision_reasons"][0]


def test_an_estimate_is_the_lift_above_what_was_served(tmp_path: Path) -> None:
    path = tmp_path / "off_policy.json"
    path.write_bytes(report_of("b", Estimate("RIPS less served", 0.02, 0.01, 0.0, 0.04)))
    candidate, estimate = read_estimate(path)
    assert candidate == "b"
    assert (estimate.logged, estimate.refusal) == (0.1, None)
    found = (estimate.value, estimate.low, estimate.high)
    assert found == pytest.approx((0.12, 0.1, 0.14))
    path.write_bytes(report_of("b", None, "thin support"))
    assert read_estimate(path)[1].refusal == "thin support"


@pytest.mark.parametrize("text", ["{}", "no", '{"value": "x", "low": 0, "high": 1, "logged": 1}'])
def test_a_file_that_is_no_estimate_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "estimate.json"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=r"accepted: off_policy\.json"):
        read_estimate(path)
    with pytest.raises(InvalidInputError, match="No such file"):
        read_estimate(tmp_path / "nothing.json")
