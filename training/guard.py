"""Guarding a running test: are its guardrails broken, and what is done about it.

Nothing is done unless it is asked for. A broken guardrail of the arm that the champion answers
brings the champion before back and delivers it; a version that is not the champion is marked, so
that it cannot become one by its gate alone, and its arm has to be stopped where tests are run.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    layout: StoreLayout, request: ReadRequest, spec: ExperimentSpec, registry: Registry | None
) -> Guarded:
    """Bring the service's log in, read the test, and roll back what broke a guardrail.

    Parameters
    ----------
    registry
        None: look only.

    Raises
    ------
    DataError
        The log has no answer of the test.
    RegistryError
        MLflow does not answer.
    """
    ingest(layout.log, LOG_FORMAT, layout)
    reading = read_experiment(layout, request, spec)
    hurt = [each for each in reading.comparisons if each.broken]
    broken = tuple(f"{each.variant}: {name}" for each in hurt for name in each.broken)
    if registry is None:
        return Guarded(reading, broken)
    effects = [effect for each in hurt for effect in _rolled_back(reading, each, layout, registry)]
    return Guarded(reading, broken, tuple(effects))


def _rolled_back(
    reading: ExperimentReading, hurt: Comparison, layout: StoreLayout, registry: Registry
) -> list[str]:
    models = {arm.variant: set(arm.models) for arm in reading.arms}
    # What answers in the control as well is not what broke it.
    suspects = models[hurt.variant] - models[reading.control]
    versions = [each for each in registry.versions() if each.bundle_version in suspects]
    if not versions:
        return [f"{hurt.variant} is answered by no registered version of its own; stop the arm"]
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
        return f"{done.note}; stop its arm of the test"
    delivered = deliver(registry, CHAMPION, layout.bundles)
    return f"{done.note}, {delivered.outcome} as {delivered.folder.name}"
