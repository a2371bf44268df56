"""Guarding a running test: are its guardrails broken, and what is done about it.

Nothing is done unless it is asked for. Then a broken guardrail pauses the experiment, so that no
arm of it is served any more; that of the arm that the champion answers also brings the champion
before back and delivers it, and a version that is not the champion is marked, so that it cannot
become one by its gate alone. A test that is run elsewhere has to be stopped there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from feature_store.experiment_change import StoredExperiment, revised
from feature_store.experiment_folder import ExperimentFolder
from feature_store.ingest import ingest
from feature_store.layout import StoreLayout
from feature_store.source import LOG_FORMAT
from training.deliver import deliver
from training.evaluation.experiment.reading import ReadRequest, read_experiment
from training.evaluation.experiment.report import Comparison, ExperimentReading
from training.experiment_spec import ExperimentSpec
from training.gate import GateReport
from training.registry import CHAMPION, RegisteredModel, Registry
from training.settlement import settle_verdict
from training.verdict import ROLL_BACK, Finding, Verdict

GUARD: Final = "desirepath experiment guard"


@dataclass(frozen=True, slots=True)
class Means:
    """What a broken guardrail is met with.

    Parameters
    ----------
    at
        When that is, microseconds since the epoch, UTC.
    """

    registry: Registry
    at: int


@dataclass(frozen=True, slots=True)
class Guarded:
    """What one look found.

    Parameters
    ----------
    broken
        ``arm: guardrail`` of each broken one; none of a refused reading, which says nothing.
    effects
        What was done, in words.
    """

    reading: ExperimentReading
    broken: tuple[str, ...]
    effects: tuple[str, ...] = ()

    @property
    def is_alarm(self) -> bool:
        """Whether somebody has to look: a broken guardrail, or a reading that was refused."""
        return bool(self.broken) or self.reading.is_refused

    @property
    def summary(self) -> dict[str, object]:
        """The look as plain JSON types."""
        return {
            "experiment": self.reading.experiment,
            "phase": self.reading.phase,
            "until": self.reading.period_end,
            "refusal": self.reading.refusal,
            "broken": list(self.broken),
            "effects": list(self.effects),
        }


def guard(
    layout: StoreLayout, request: ReadRequest, spec: ExperimentSpec, means: Means | None
) -> Guarded:
    """Bring the service's log in, read the test, stop it and roll back what broke a guardrail.

    Parameters
    ----------
    means
        None: look only.

    Raises
    ------
    DataError
        The log has no answer of the test.
    StorageError
        The experiment could not be paused.
    RegistryError
        MLflow does not answer.
    """
    ingest(layout.log, LOG_FORMAT, layout)
    reading = read_experiment(layout, request, spec)
    hurt = [each for each in reading.comparisons if each.broken]
    broken = tuple(f"{each.variant}: {name}" for each in hurt for name in each.broken)
    if means is None or not hurt:
        return Guarded(reading, broken)
    # Before the registry is asked: whoever is in the arm is not to wait for MLflow.
    effects = [paused(ExperimentFolder(layout.experiments), request.key, means.at)]
    for each in hurt:
        effects += _rolled_back(reading, each, layout, means.registry)
    return Guarded(reading, broken, tuple(effects))


def paused(folder: ExperimentFolder, key: str, at: int) -> str:
    """Pull the kill switch of an experiment; says what came of it.

    Raises
    ------
    InvalidInputError
        Its file cannot be used.
    StorageError
        It could not be written.
    """
    stored = folder.read(key)
    if stored is None:
        return f"{folder.root} has no experiment {key}; stop its arm where tests are run"
    if not stored.spec.is_running:
        return f"experiment {key} is {stored.spec.status}"

    def pause(current: StoredExperiment | None) -> StoredExperiment:
        known = current or stored
        if not known.spec.is_running:
            return known
        stopped = msgspec.structs.replace(known.spec, status="paused")
        return revised(known, stopped, GUARD, at)

    folder.change(key, pause)
    return f"experiment {key} is paused: nobody is given its arms"


def _rolled_back(
    reading: ExperimentReading, hurt: Comparison, layout: StoreLayout, registry: Registry
) -> list[str]:
    models = {arm.variant: set(arm.models) for arm in reading.arms}
    # What answers in the control as well is not what broke it.
    suspects = models[hurt.variant] - models[reading.control]
    versions = [each for each in registry.versions() if each.bundle_version in suspects]
    if not versions:
        return [f"{hurt.variant} is answered by no registered version of its own"]
    return [_roll_back(each, hurt, layout, registry) for each in versions]


def _roll_back(
    registered: RegisteredModel, hurt: Comparison, layout: StoreLayout, registry: Registry
) -> str:
    reason = f"{hurt.variant} broke {', '.join(hurt.broken)}"
    verdict = Verdict((Finding("guardrail", ROLL_BACK, reason),))
    gate = GateReport(registered.bundle_version, None, ())
    before = registry.resolve(CHAMPION)
    done = settle_verdict(registry, registered, gate, verdict)
    if before is None or done.champion == before.version:
        return done.note
    delivered = deliver(registry, CHAMPION, layout.bundles)
    return f"{done.note}, {delivered.outcome} as {delivered.folder.name}"
