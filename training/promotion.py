"""Challenger to champion: through the gate, write the verdict down, move the alias."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recommender.bundle import ModelBundle, load_bundle
from recommender.errors import BundleError, ConfigError
from training.evaluation.offline import evaluate
from training.evaluation.report import EvaluationReport
from training.exam import AS_SERVED, Exam
from training.gate import GateCase, GateReport, judge
from training.gate_evidence import Evidence, examine, popularity_ndcg
from training.registry import CHAMPION, RegisteredModel, Registry

GATE_TAG: Final = "gate"
UNREADABLE: Final = "the champion's bundle cannot be read: nothing to compare with"


@dataclass(frozen=True, slots=True)
class Contender:
    """A challenger with what it takes to judge it.

    Parameters
    ----------
    judged
        Its recipe, learnt from what was before the hold-out period.
    served
        The bundle that would go out.
    report
        Evaluation of `judged` on the shoppers of the exam; None: the gate has it made.
    """

    registered: RegisteredModel
    judged: ModelBundle
    served: ModelBundle
    report: EvaluationReport | None = None


def put_through_gate(exam: Exam, contender: Contender, registry: Registry) -> GateReport:
    """Judge a contender beside the present champion. Nothing is changed.

    Raises
    ------
    RegistryError
        The registry does not answer.
    """
    test, place, k = exam.test, exam.placement, exam.k
    champion, champion_served, how = _champion(exam, registry)
    judged = examine(contender.judged, test, place, k)
    report = contender.report
    if report is None and judged.is_finite:
        report = evaluate(contender.judged, test, place, exam.spec.evaluation)
    case = GateCase(
        judged=judged,
        served=examine(contender.served, test, place, k),
        popularity=popularity_ndcg(contender.judged, test, place, k),
        champion=champion,
        champion_served=champion_served,
        champion_how=how,
        report=report,
    )
    return judge(case, exam.spec.gate, exam.spec.evaluation)


def settle(registry: Registry, registered: RegisteredModel, report: GateReport) -> bool:
    """Move the champion alias if the gate was passed, then write the verdict on the version.

    In this order: a version without a verdict was not settled, whatever crashed in between.

    Returns
    -------
    bool
        Whether the version is the champion now.
    """
    if report.passed:
        registry.set_alias(CHAMPION, registered.version)
    registry.set_tags(registered.version, report.tags)

    def write(client: Any) -> None:
        client.log_dict(registered.run_id, report.summary, "gate/gate.json")

    registry.call("log the verdict", write)
    return report.passed


def last_champion(registry: Registry, bundle_version: str) -> RegisteredModel | None:
    """The champion to put beside a model: the present one, or the one before if it is the model.

    Parameters
    ----------
    bundle_version
        Of the model. An equal bundle under another number is the same model.
    """
    champion = registry.resolve(CHAMPION)
    if champion is None or champion.bundle_version != bundle_version:
        return champion
    return next(
        (
            each
            for each in registry.versions()
            if int(each.version) < int(champion.version)
            and each.tags.get(GATE_TAG) == "passed"
            and each.bundle_version != bundle_version
        ),
        None,
    )


def fetch_bundle(registry: Registry, registered: RegisteredModel) -> ModelBundle:
    """Bundle of a version, verified, in memory.

    Raises
    ------
    BundleError
        It is not a valid bundle, or not the one that the registry announced.
    """
    with tempfile.TemporaryDirectory(prefix="desirepath-bundle-") as scratch:
        bundle = load_bundle(registry.fetch(registered, Path(scratch)))
    if bundle.version != registered.bundle_version:
        raise BundleError(
            f"registry version {registered.version} announced bundle "
            f"{registered.bundle_version} but gave {bundle.version}"
        )
    return bundle


def _champion(exam: Exam, registry: Registry) -> tuple[Evidence | None, Evidence | None, str]:
    registered = registry.resolve(CHAMPION)
    if registered is None:
        return None, None, "there is no champion yet"
    try:
        bundle = fetch_bundle(registry, registered)
    except BundleError:
        return None, None, UNREADABLE
    served = examine(bundle, exam.test, exam.placement, exam.k)
    try:
        innocent, how = exam.innocent(bundle)
    except ConfigError:
        # An older configuration cannot be fitted any more; what it serves has seen the hold-out
        # period, which favours the champion: the safe side.
        return served, served, f"{AS_SERVED}, although it has seen part of the hold-out period"
    if how == AS_SERVED:
        return served, served, how
    return examine(innocent, exam.test, exam.placement, exam.k), served, how
