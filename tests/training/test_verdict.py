from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from recommender.errors import InvalidInputError
from training.evaluation.bootstrap import Interval
from training.evaluation.experiment.drafts import InterleavingReading
from training.evaluation.experiment.report import (
    ArmFigures,
    Comparison,
    ExperimentReading,
    GuardrailReading,
    MetricReading,
)
from training.experiment_spec import VerdictSpec
from training.gate import Condition, GateReport
from training.verdict import Evidence, OffPolicyEstimate, PreferenceEvidence, decide

LIMITS = VerdictSpec()
PASSED = GateReport("new", "old", (Condition("ndcg", 0.2, ">= 0.1", passed=True),))
REFUSED = GateReport("new", "old", (Condition("ndcg", 0.05, ">= 0.1", passed=False),))
ESTIMATE = OffPolicyEstimate(0.12, 0.11, 0.13, 0.10)
EVIDENCE = Evidence(PASSED, "new")


def reading_of(
    low: float = 0.01,
    high: float = 0.03,
    rail: str = "ok",
    refusal: str | None = None,
    doubts: tuple[str, ...] = (),
    model: str = "new",
) -> ExperimentReading:
    """A test of one treatment with the given interval at every look."""
    verdict = "undecided" if low <= 0 <= high else "better" if low > 0 else "worse"
    always = Interval((low + high) / 2, low, high)
    metric = MetricReading(
        "conversion", True, 0.1, 0.1, always, 0.5, always, None, 0.0, None, verdict, ""
    )
    guardrail = GuardrailReading("error_share", 0.0, 0.2, 0.2, 0.01, always, rail, "")
    arms = (
        ArmFigures("control", 500, 500.0, 500, 900, 5.0, ("old",)),
        ArmFigures("treatment", 500, 500.0, 500, 900, 5.0, (model,)),
    )
    comparisons = () if refusal else (Comparison("treatment", (metric,), (guardrail,)),)
    period = ("2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00")
    return ExperimentReading(
        "key", 0, "control", "conversion", False, 0.95, 7.0, 14.0, *period, 0.5, 0.001,
        refusal, doubts, arms, comparisons, {},
    )  # fmt: skip


def test_a_passed_gate_alone_ships() -> None:
    found = decide(EVIDENCE, LIMITS)
    assert found.decision == "ship"
    assert found.reasons == ()
    assert [each.source for each in found.findings] == [
        "gate",
        "journeys",
        "off-policy estimate",
        "experiment",
        "preference",
    ]


@pytest.mark.parametrize(
    ("evidence", "decision", "reason"),
    [
        ({"gate": REFUSED}, "hold", "ndcg is 0.05"),
        ({"steps_gained": Interval(-0.3, -0.5, -0.1)}, "hold", "-0.3 steps saved"),
        ({"steps_gained": Interval(-0.3, -0.5, 0.1)}, "ship", ""),
        ({"off_policy": ESTIMATE}, "ship", ""),
        ({"off_policy": OffPolicyEstimate(0.05, 0.04, 0.06, 0.10)}, "hold", "log earned 0.1"),
        ({"off_policy": OffPolicyEstimate(0.05, 0.04, 0.06, 0.10, "thin support")}, "ship", ""),
        ({"reading": reading_of()}, "ship", ""),
        ({"reading": reading_of(-0.01, 0.03)}, "hold", "undecided in conversion"),
        ({"reading": reading_of(-0.03, -0.01)}, "hold", "worse in conversion"),
        (
            {"reading": reading_of(-0.03, -0.01), "is_champion": True},
            "roll back",
            "worse in conversion",
        ),
        ({"reading": reading_of(rail="broken")}, "roll back", "error_share 0 → 0.2 is broken"),
        ({"reading": reading_of(rail="open")}, "ship", ""),
        ({"reading": reading_of(refusal="mismatch")}, "hold", "experiment: mismatch"),
        ({"reading": reading_of(doubts=("differed before",))}, "hold", "differed before"),
        ({"reading": reading_of(model="older")}, "hold", "answered by older, not by new"),
    ],
)
def test_each_source_speaks(evidence: dict[str, object], decision: str, reason: str) -> None:
    found = decide(replace(EVIDENCE, **evidence), LIMITS)  # type: ignore[arg-type]
    assert found.decision == decision
    assert reason in "; ".join(found.reasons)
    assert bool(found.reasons) == (decision != "ship")


@pytest.mark.parametrize(
    ("limits", "evidence"),
    [
        (VerdictSpec(needs_experiment=True), EVIDENCE),
        (VerdictSpec(needs_off_policy=True), EVIDENCE),
        (VerdictSpec(needs_journeys=True), EVIDENCE),
        (
            VerdictSpec(needs_off_policy=True),
            replace(EVIDENCE, off_policy=OffPolicyEstimate(1, 1, 1, 1, "thin support")),
        ),
        (
            VerdictSpec(guardrails_must_be_ok=True),
            replace(EVIDENCE, reading=reading_of(rail="open")),
        ),
    ],
)
def test_what_is_asked_for_must_be_there(limits: VerdictSpec, evidence: Evidence) -> None:
    assert decide(evidence, limits).decision == "hold"


def test_a_test_need_not_be_won_where_that_is_said() -> None:
    evidence = replace(EVIDENCE, reading=reading_of(-0.01, 0.03))
    assert decide(evidence, VerdictSpec(must_win_experiment=False)).decision == "ship"


def test_the_gravest_finding_decides_and_all_are_kept() -> None:
    evidence = replace(EVIDENCE, gate=REFUSED, reading=reading_of(rail="broken"))
    found = decide(evidence, LIMITS)
    assert found.decision == "roll back"
    assert len(found.reasons) == 2
    assert found.summary["decision"] == "roll back"


def test_an_unknown_treatment_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="treatment 'x' of experiment 'key'"):
        decide(replace(EVIDENCE, reading=reading_of(), treatment="x"), LIMITS)


def test_too_few_subjects_hold() -> None:
    reading = reading_of()
    (comparison,) = reading.comparisons
    metric = msgspec.structs.replace(comparison.metrics[0], always=None)
    short = msgspec.structs.replace(
        reading, comparisons=(msgspec.structs.replace(comparison, metrics=(metric,)),)
    )
    assert decide(replace(EVIDENCE, reading=short), LIMITS).decision == "hold"


def preference_of(
    low: float, high: float, models: tuple[str, ...] = ("new",), voters: int = 100
) -> PreferenceEvidence:
    verdict = "undecided" if low <= 0 <= high else "better" if low > 0 else "worse"
    mean = Interval((low + high) / 2, low, high)
    always = mean if voters >= 50 else None
    reading = InterleavingReading(
        "draft", "control", "treatment", "select_item", 300, 900, 500, {}, voters, 0, 0,
        mean, always, verdict, {},
    )  # fmt: skip
    return PreferenceEvidence(reading, models)


@pytest.mark.parametrize(
    ("given", "is_champion", "decision", "reason"),
    [
        (preference_of(0.1, 0.4), False, "ship", ""),
        (preference_of(-0.4, -0.1), False, "hold", "treatment is worse: -0.25"),
        (preference_of(-0.4, -0.1), True, "roll back", "treatment is worse"),
        (preference_of(-0.1, 0.3), False, "hold", "treatment is undecided"),
        (preference_of(0.1, 0.4, ("old",)), False, "hold", "treatment drafted old, not new"),
        (preference_of(0.1, 0.4, ("new", "old")), False, "hold", "drafted new, old"),
        (preference_of(0.1, 0.4, voters=9), False, "hold", "too few subjects with a credit: 9"),
    ],
)
def test_what_interleaved_lists_say(
    given: PreferenceEvidence, is_champion: bool, decision: str, reason: str
) -> None:
    found = decide(replace(EVIDENCE, preference=given, is_champion=is_champion), LIMITS)
    assert found.decision == decision
    assert reason in "; ".join(found.reasons)
    assert all(each.startswith("preference: ") for each in found.reasons)


def test_a_preference_may_be_needed_or_need_not_be_won() -> None:
    needed = replace(LIMITS, needs_preference=True)
    assert decide(EVIDENCE, needed).decision == "hold"
    assert decide(replace(EVIDENCE, preference=preference_of(0.1, 0.2)), needed).decision == "ship"
    lenient = replace(LIMITS, must_win_experiment=False)
    undecided = replace(EVIDENCE, preference=preference_of(-0.1, 0.3))
    assert decide(undecided, lenient).decision == "ship"
    # A test that was won does not make up for a preference that speaks against.
    both = replace(EVIDENCE, reading=reading_of(), preference=preference_of(-0.4, -0.1))
    assert decide(both, LIMITS).decision == "hold"
