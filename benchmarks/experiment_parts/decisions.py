"""What is decided from the log of the loop, by the command line, and what MLflow holds of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.experiment_parts.models import Models
from benchmarks.experiment_parts.trials import (
    CONTROL,
    DRAFT,
    GUARD,
    HOLD,
    OPEN,
    SHIP,
    TREATMENT,
)
from benchmarks.experiment_parts.verbs import verb
from feature_store.console import Console
from feature_store.experiment_folder import known_experiment
from feature_store.layout import StoreLayout
from recommender.bundle_folder import read_pointer
from training.registry import CHAMPION, RegisteredModel
from training.settlement import DECISION_TAG, REASONS_TAG

GOOD, WEAK = "everything", "popularity"
DECISION_FILE: Final = "gate/decision.json"
_METRICS: Final = ("clicks_per_answer", "conversion", "steps_to_purchase")
Findings = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Court:
    """Where decisions are made: a store with its models."""

    root: Path
    models: Models
    console: Console

    def decided(self) -> Findings:
        """Read the tests, decide on both versions, guard; every step as people would do it."""
        readings = {key: self._reading(key) for key in (SHIP, HOLD)}
        against = self.models.weak.version
        found = {
            "readings": readings,
            "preference": self._preference(),
            "off_policy": self._off_policy(["--experiment", OPEN, "--against", against]),
            "outside": self._off_policy(["--experiment", SHIP, "--arm", CONTROL]),
        }
        found["winner_by"] = winners(found)
        found["decisions"] = [
            self._decision(self.models.good, SHIP, ["--preference", DRAFT]),
            self._decision(self.models.weak, HOLD),
        ]
        return found | {"guard": self._guard()}

    def _reading(self, key: str) -> Findings:
        options = ["--root", self.root, "--config", self.models.reading]
        found = verb(["experiment", "read", key, *options], (0, 1))
        self.console.table(f"Arms of {key}", found["arms"])
        metrics = [each for one in found["comparisons"] for each in one["metrics"]]
        kept = [_metric(each) for each in metrics if each["name"] in _METRICS]
        self.console.table(f"Treatment beside control of {key}", kept)
        return {
            "srm_p": found["srm_p"],
            "refusal": found["refusal"],
            "doubts": found["doubts"],
            "primary": found["primary"],
            "arms": found["arms"],
            "metrics": kept,
        }

    def _preference(self) -> Findings:
        options = ["--root", self.root, "--config", self.models.reading]
        found = verb(["experiment", "preference", DRAFT, *options])
        names = ("lists", "competitive_places", "credits", "wins", "losses", "ties")
        kept = {name: found[name] for name in (*names, "preference", "always", "verdict")}
        self.console.table("Interleaved lists", [kept])
        return kept

    def _off_policy(self, part: Sequence[str]) -> Findings:
        """What the good version would have earned where the log left something to chance.

        In *open* what both put first was shown often. In *ship* the last place of a list was left
        to chance, as it ships: there the list of another model lies outside the support.
        """
        words = ["evaluate", "--off-policy", "--candidate", self.models.good.version, *part]
        found = verb([*words, "--out", self.root], (0, 1))
        names = ("lists", "same_lists", "observed", "estimates", "lift", "refusal", "diagnosis")
        kept = {name: found.get(name) for name in (*names, "gain", "gain_refusal")}
        basis = kept["diagnosis"] | {"lists": kept["lists"], "same lists": kept["same_lists"]}
        self.console.table(f"What the log of {part[1]} rests on", [basis])
        told = [kept["observed"], *kept["estimates"], kept["lift"], kept["gain"]]
        self.console.table(f"Off-policy, {part[1]}", [each for each in told if each])
        if reason := kept["refusal"] or kept["gain_refusal"]:
            self.console.say(f"no estimate from {part[1]}: {reason}")
        return kept

    def _decision(self, version: RegisteredModel, key: str, more: Sequence[str] = ()) -> Findings:
        """`desirepath promote` by the test, then what MLflow and the service's folder hold."""
        before = self._champion()
        options: list[object] = ["--experiment", key, *more]
        options += ["--config", self.models.reading, "--out", self.root]
        found = verb(["promote", "--model", version.version, *options], (0, 1))
        verb(["deliver", "--to", StoreLayout(self.root).bundles, "--again"])
        row = {
            "version": version.version,
            "model": self._name(version.version),
            "test": key,
            "decision": found["decision"],
            "champion_before": before,
            "champion": self._champion(),
            "delivered": self._delivered(),
        }
        self.console.table("Decision", [row])
        self.console.table("Why", found["findings"])
        return row | {"reasons": found["decision_reasons"]} | {"mlflow": self._kept(version)}

    def _guard(self) -> Findings:
        """The weak version made champion by hand, and what the guard of its test does about it."""
        self.models.registry.set_alias(CHAMPION, self.models.weak.version)
        verb(["deliver", "--to", StoreLayout(self.root).bundles, "--again"])
        before = {"champion_before": self._champion(), "delivered_before": self._delivered()}
        options = ["--root", self.root, "--config", self.models.reading]
        found = verb(["experiment", "guard", GUARD, *options, "--roll-back"], (0, 1))
        row = {name: found[name] for name in ("broken", "effects", "refusal")}
        row |= before | {"champion": self._champion(), "delivered": self._delivered()}
        row["status"] = known_experiment(StoreLayout(self.root).experiments, GUARD).spec.status
        self.console.table("Guard", [row])
        return row | {"mlflow": self._kept(self.models.weak)}

    def _champion(self) -> str | None:
        found = self.models.registry.resolve(CHAMPION)
        return self._name(found.version) if found else None

    def _name(self, version: str) -> str:
        return GOOD if version == self.models.good.version else WEAK

    def _delivered(self) -> str | None:
        pointer = read_pointer(StoreLayout(self.root).bundles)
        if pointer is None:
            return None
        return GOOD if pointer.version == self.models.good.bundle_version else WEAK

    def _kept(self, version: RegisteredModel) -> Findings:
        """What MLflow holds of the last decision on a version: its tags and its run's file."""
        registry = self.models.registry
        tags = registry.require(version.version).tags

        def download(client: Any) -> Findings:
            path = client.download_artifacts(version.run_id, DECISION_FILE)
            return dict(msgspec.json.decode(Path(path).read_bytes()))

        file = registry.call("read the decision", download)
        return {
            "tag": tags.get(DECISION_TAG),
            "reasons": tags.get(REASONS_TAG),
            "file": file["decision"],
            "effect": file["effect"],
        }


def _metric(metric: Mapping[str, Any]) -> Findings:
    always = metric["always"] or {"low": None, "high": None}
    return {
        "metric": metric["name"],
        "control": metric["control"],
        "treatment": metric["treatment"],
        "effect": metric["effect"]["mean"],
        "low": always["low"],
        "high": always["high"],
        "verdict": metric["verdict"],
    }


def winners(found: Mapping[str, Any]) -> dict[str, str]:
    """Which model each way of asking says is better; a refusal is told as one."""
    ship, hold = (_verdict(found["readings"][key]) for key in (SHIP, HOLD))
    return {
        "reading": {"better": GOOD, "worse": WEAK}.get(ship, ship),
        "reading, swapped": {"better": WEAK, "worse": GOOD}.get(hold, hold),
        "preference": {"better": GOOD, "worse": WEAK}.get(
            found["preference"]["verdict"], found["preference"]["verdict"]
        ),
        "off-policy": _by_estimate(found["off_policy"]),
    }


def _verdict(reading: Mapping[str, Any]) -> str:
    if reading["refusal"]:
        return "refused"
    by_name = {each["metric"]: each["verdict"] for each in reading["metrics"]}
    return str(by_name.get(reading["primary"], "too few subjects"))


def _by_estimate(off_policy: Mapping[str, Any]) -> str:
    if off_policy["refusal"] or off_policy["gain_refusal"]:
        return "refused"
    gain = off_policy["gain"]
    if gain["low"] > 0:
        return GOOD
    return WEAK if gain["high"] < 0 else "undecided"


def agree(by: Mapping[str, str]) -> bool:
    """Whether the test, the preference and the estimate name the same model."""
    named = {by[each] for each in ("reading", "preference", "off-policy")}
    return len(named) == 1 and named <= {GOOD, WEAK}


def checks_of(found: Mapping[str, Any]) -> dict[str, bool]:
    """What must be so."""
    ship, hold = found["decisions"]
    guard, by = found["guard"], found["winner_by"]
    return {
        "every id has one arm everywhere": len({e["digest"] for e in found["assignments"]}) == 1,
        "several workers answered": found["traffic"]["workers_that_answered"] > 1,
        "no event was refused": not found["traffic"]["rejected"],
        "the test finds the better model": by["reading"] == GOOD,
        "the swapped test finds it too": by["reading, swapped"] == GOOD,
        "test, preference and estimate agree": agree(by) and by["reading"] == GOOD,
        "outside the support nothing is told": "mass where logging has none"
        in (found["outside"]["refusal"] or ""),
        "the winner is promoted": (ship["decision"], ship["champion"]) == ("ship", GOOD),
        "the winner is delivered": ship["delivered"] == GOOD,
        "the loser is held": (hold["decision"], hold["champion"]) == ("hold", GOOD),
        "the broken arm is found": any(each.startswith(TREATMENT) for each in guard["broken"]),
        "its arms are not given any more": guard["status"] == "paused",
        "it is rolled back": (guard["champion_before"], guard["champion"]) == (WEAK, GOOD),
        "what was before is delivered": guard["delivered"] == GOOD,
        "MLflow holds every decision": [
            each["mlflow"]["tag"] == each["mlflow"]["file"] == said
            for each, said in ((ship, "ship"), (guard, "roll back"))
        ]
        == [True, True]
        and hold["mlflow"]["tag"] == "hold",
    }
