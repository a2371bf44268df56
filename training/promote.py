"""Deciding on a registered version: evidence gathered, judged, and the verdict put into effect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from feature_store.experiment_folder import ExperimentFolder, known_experiment
from feature_store.layout import StoreLayout
from recommender.errors import InvalidInputError
from training.evaluation.bootstrap import Interval
from training.evaluation.experiment.drafts import DraftRequest, read_drafts
from training.evaluation.experiment.reading import ReadRequest, read_experiment
from training.evaluation.experiment.report import ExperimentReading
from training.evaluation.off_policy_report import OffPolicyReport
from training.experiment_record import (
    keep,
    keep_preference,
    reading_folder,
    record_preference,
    record_reading,
)
from training.experiment_spec import ExperimentSpec
from training.gate import GateReport
from training.journeys import LAST_CHAMPION, JourneyRequest, journey_report
from training.reevaluation import judge_again
from training.registry import CHAMPION, RegisteredModel
from training.settlement import Settlement, settle_verdict
from training.spec import load_spec
from training.verdict import (
    SHIP,
    Evidence,
    OffPolicyEstimate,
    PreferenceEvidence,
    Verdict,
    decide,
)
from training.workflow import Workbench


@dataclass(frozen=True, slots=True)
class PromoteRequest:
    """Which version to decide on, and by what besides the gate.

    Parameters
    ----------
    experiment
        Key of a test, its control and its treatment, each None where it is not named.
    preference
        Key of a test whose lists were interleaved; control and treatment are those of `experiment`.
    off_policy
        Report of `desirepath evaluate --off-policy` about this version.
    config
        Training file whose sections ``experiment`` and ``verdict`` hold; None: those of the
        version.
    replay
        Replay journeys beside the last champion.
    """

    model: str
    layout: StoreLayout
    placements: Path
    experiment: tuple[str | None, str | None, str | None] = (None, None, None)
    off_policy: Path | None = None
    config: Path | None = None
    replay: bool = False
    preference: str | None = None


@dataclass(frozen=True, slots=True)
class Promotion:
    """What a promotion came to."""

    registered: RegisteredModel
    gate: GateReport
    verdict: Verdict
    settlement: Settlement

    @property
    def is_shipped(self) -> bool:
        """Whether the version is the champion by this verdict."""
        return self.verdict.decision == SHIP


def promote(request: PromoteRequest, bench: Workbench) -> Promotion:
    """Decide on a version and settle what follows.

    Raises
    ------
    InvalidInputError
        The version, the treatment or the report of the estimate is not there or not acceptable, or
        is about another bundle.
    DataError
        The log has no answer of the test.
    RegistryError
        MLflow does not answer.
    """
    # What is wrong with the request comes out before the minutes of the gate.
    _check_kinds(request)
    about, estimate = (None, None)
    if request.off_policy is not None:
        about, estimate = read_estimate(request.off_policy)
    limits = None if request.config is None else load_spec(request.config)
    judged = judge_again(request.model, request.layout, bench, request.placements)
    if about is not None and about != judged.registered.bundle_version:
        raise InvalidInputError(
            f"{request.off_policy} is about bundle {about}; accepted: "
            f"{judged.registered.bundle_version}, the bundle of version {judged.registered.version}"
        )
    spec = limits or judged.spec
    champion = bench.registry.resolve(CHAMPION)
    evidence = Evidence(
        gate=judged.gate,
        bundle_version=judged.registered.bundle_version,
        is_champion=champion is not None and champion.version == judged.registered.version,
        steps_gained=_steps_gained(request, bench) if request.replay else None,
        off_policy=estimate,
        reading=_reading(request, spec.experiment, bench),
        treatment=request.experiment[2],
        preference=_preference(request, spec.experiment, bench),
    )
    verdict = decide(evidence, spec.verdict)
    settlement = settle_verdict(bench.registry, judged.registered, judged.gate, verdict)
    return Promotion(judged.registered, judged.gate, verdict, settlement)


def read_estimate(path: Path) -> tuple[str, OffPolicyEstimate]:
    """Version and estimate of a report of `desirepath evaluate --off-policy`.

    Raises
    ------
    InvalidInputError
        It is no such report.
    """
    try:
        report = msgspec.json.decode(path.read_bytes(), type=OffPolicyReport)
    except OSError as error:
        raise InvalidInputError(f"{path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise InvalidInputError(
            f"{path}: {error}; accepted: off_policy.json of `desirepath evaluate --off-policy`"
        ) from error
    logged, lift = report.observed.value, report.lift
    if lift is None:
        refusal = report.refusal or "the report has no estimate"
        return report.candidate, OffPolicyEstimate(logged, logged, logged, logged, refusal)
    value, low, high = (logged + each for each in (lift.value, lift.low, lift.high))
    return report.candidate, OffPolicyEstimate(value, low, high, logged, report.refusal)


def _check_kinds(request: PromoteRequest) -> None:
    """Raise `InvalidInputError` where a test is asked what its kind cannot tell."""
    key = request.experiment[0]
    stored = None if key is None else ExperimentFolder(request.layout.experiments).read(key)
    if stored is not None and stored.spec.is_interleaved:
        raise InvalidInputError(
            f"experiment {key} interleaves its arms in one list; accepted: --preference {key}"
        )
    if request.preference is None:
        return
    spec = known_experiment(request.layout.experiments, request.preference).spec
    if not spec.is_interleaved:
        raise InvalidInputError(
            f"preference {request.preference} is an experiment of kind {spec.kind}; accepted: "
            f"--experiment {request.preference}"
        )


def _preference(
    request: PromoteRequest, spec: ExperimentSpec, bench: Workbench
) -> PreferenceEvidence | None:
    """What interleaved lists say, kept and recorded; None where no such test is named."""
    key, control, treatment = request.preference, *request.experiment[1:]
    if key is None:
        return None
    arms = [arm.key for arm in known_experiment(request.layout.experiments, key).spec.arms]
    if treatment is not None and treatment not in arms:
        raise InvalidInputError(f"treatment {treatment!r} of {key}; accepted: {arms}")
    if control is None and treatment is not None:
        control = next(arm for arm in arms if arm != treatment)
    reading = read_drafts(request.layout, DraftRequest(key, control), spec)
    path = keep_preference(reading, reading_folder(request.layout, key))
    record_preference(reading, path, bench)
    place = arms.index(reading.treatment)
    return PreferenceEvidence(reading, tuple(sorted({pair[place] for pair in reading.models})))


def _steps_gained(request: PromoteRequest, bench: Workbench) -> Interval | None:
    """Steps saved, the version minus the last champion; None without one."""
    report = journey_report(
        JourneyRequest(request.model, request.layout, request.placements), bench
    )
    return report.gains.get(LAST_CHAMPION)


def _reading(
    request: PromoteRequest, spec: ExperimentSpec, bench: Workbench
) -> ExperimentReading | None:
    key, control, _ = request.experiment
    if key is None:
        return None
    reading = read_experiment(request.layout, ReadRequest(key, control), spec)
    folder = reading_folder(request.layout, key)
    keep(reading, folder)
    record_reading(reading, folder, bench)
    return reading
