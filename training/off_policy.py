"""What a model would have earned on the service's log; the report is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import polars as pl

from feature_store.attribution import DAY_MICROS, DECISION_ID, SLOT, Attribution
from feature_store.attribution_log import attributed, log_records
from feature_store.layout import StoreLayout
from feature_store.pseudonyms import read_pseudonyms
from feature_store.records import DecisionRecord
from recommender.bundle import ModelBundle
from recommender.errors import DataError, InvalidInputError
from recommender.placements import Placement, read_placements
from recommender.terms import EVENT_TYPE, PURCHASE, Float64Array
from training.dataset import moment
from training.evaluation.off_policy import Estimate, Verdict, mean_of
from training.evaluation.off_policy_history import Pseudonym
from training.evaluation.off_policy_marginals import marginals_of
from training.evaluation.off_policy_replay import Replayed, replay
from training.evaluation.off_policy_report import OffPolicyReport
from training.evaluation.off_policy_slates import (
    LoggedSlates,
    judge_slates,
    rips,
    snrips_difference,
)
from training.evaluation.off_policy_support import Check, check_records, is_supported
from training.evaluation.plots_off_policy import draw_off_policy
from training.exam import Store, innocent, window_end
from training.off_policy_answers import Part
from training.reevaluation import named_bundle
from training.registry import RegisteredModel
from training.registry_run import Run
from training.spec import parse_spec
from training.split import find_cuts
from training.workflow import Workbench

TAKEN_UP, BOUGHT = "taken_up", "purchase"
REWARDS: Final = (TAKEN_UP, BOUGHT)
AS_IT_IS: Final = "as it is"


@dataclass(frozen=True, slots=True)
class OffPolicyRequest:
    """What to ask of which log.

    Parameters
    ----------
    candidate
        Alias, version number, or folder of a bundle.
    reward
        Of `REWARDS`: each item counts once that was taken up, or bought, within a day.
    part
        Which answers; only what was known before its `as_of` counts.
    against
        Another bundle that the candidate is compared with on the same lists; None: with none.
    """

    candidate: str
    layout: StoreLayout
    placements: Path
    reward: str = TAKEN_UP
    part: Part = field(default_factory=Part)
    against: str | None = None

    def __post_init__(self) -> None:
        if self.reward not in REWARDS:
            raise InvalidInputError(f"reward {self.reward!r}; accepted: {', '.join(REWARDS)}")


def off_policy_report(request: OffPolicyRequest, bench: Workbench) -> OffPolicyReport:
    """Replay the answers that left something to chance, and estimate; write the report.

    The report (``off_policy.json``, ``off_policy.md``, ``off_policy.png``) goes into the store's
    folder, and into the MLflow run of the model where it is a registered version.

    Raises
    ------
    DataError
        The log holds no answer that can be looked at.
    ConfigError
        The folder is not that of a service.
    """
    bundle, registered = named_bundle(request.candidate, bench.registry)
    rival = None if request.against is None else named_bundle(request.against, bench.registry)[0]
    base = read_placements(request.placements)
    placements = request.part.placements(base, request.layout)
    records = list(log_records(request.layout))
    usable, counts = request.part.answers(records, placements)
    with tempfile.TemporaryDirectory(prefix="desirepath-off-policy-") as scratch:
        work = bench, Path(scratch)
        asked = [_fair(each, usable, request, work) for each in (bundle, rival) if each]
    start = max(each.start for each in asked)
    kept = {each.decision_id for each in usable if each.ts_server >= start}
    counts["left out: the model learnt from their time"] = len(usable) - len(kept)
    if not kept:
        raise DataError(
            f"no answer of the log left anything to chance and lies behind what the model learnt "
            f"from: {counts}; set [explore] in the placements, and serve"
        )
    pseudonym = read_pseudonyms(request.layout.pseudonyms).of
    both = [
        _replayed(records, frozenset(kept), each.model, (placements, pseudonym), (request, bench))
        for each in asked
    ]
    answers = both[0]
    first, last = answers[0].record.ts_server, answers[-1].record.ts_server
    found = attributed(request.layout, records, first, last + 1, DAY_MICROS)
    counts |= {f"outcomes: {name}": number for name, number in found.outcomes.items()}
    earned = rewards_of(answers, found, request.reward)
    logs = [slates_of(each, earned) for each in both]
    counts["answers that the candidate leaves empty"] = sum(not each.target for each in answers)
    if logs[0].marginal is None:
        counts["answers without probabilities of their slots"] = sum(
            marginals_of(each.record, each.target) is None for each in answers
        )
    report = _report(
        (asked[0].model.version, asked[0].how), request.reward, answers, logs[0], counts
    )
    if rival is not None:
        report = _compared(report, logs, asked[1].model.version)
    weight = logs[0].running_weight[:, -1]
    _keep(report, weight, request.layout.root, registered, bench)
    return report


def _replayed(
    records: Sequence[object],
    wanted: frozenset[str],
    model: ModelBundle,
    known: tuple[Mapping[str, Placement], Pseudonym],
    work: tuple[OffPolicyRequest, Workbench],
) -> list[Replayed]:
    (placements, pseudonym), (request, bench) = known, work
    answers = list[Replayed]()
    with bench.console.progress("answers", len(wanted)) as progress:
        for each in replay(records, wanted, model, placements, pseudonym, request.layout):
            answers.append(each)
            progress.advance()
    return answers


@dataclass(frozen=True, slots=True)
class _Asked:
    """A model, how it came about, and the moment from which it knows nothing."""

    model: ModelBundle
    how: str
    start: int


def _fair(
    bundle: ModelBundle,
    usable: Sequence[DecisionRecord],
    request: OffPolicyRequest,
    work: tuple[Workbench, Path],
) -> _Asked:
    """What may be asked about these answers.

    The model itself where answers lie behind what it learnt from; else its recipe, fitted on what
    was before the store's test period.
    """
    if any(each.ts_server >= window_end(bundle) for each in usable) or not usable:
        return _Asked(bundle, AS_IT_IS, window_end(bundle))
    bench, scratch = work
    spec = parse_spec(bundle.manifest.info.config)
    store = Store(bench.engine, request.layout, scratch, request.part.as_of)
    window = store.engine.ingest_window(store.layout, spec, store.as_of, store.workspace)
    cuts = find_cuts(window.period, spec)
    return _Asked(*innocent(bundle, store, cuts), cuts.test)


def rewards_of(answers: Sequence[Replayed], found: Attribution, reward: str) -> Float64Array:
    """What each slot earned, float64 (n, K): 1 where its item was taken up, or bought."""
    width = max(len(each.record.items) for each in answers)
    earned = np.zeros((len(answers), width))
    credited = found.credited
    if reward == BOUGHT:
        credited = credited.filter(pl.col(EVENT_TYPE) == PURCHASE)
    hits = set(credited.select(DECISION_ID, SLOT).unique().iter_rows())
    for row, each in enumerate(answers):
        for place, item in enumerate(each.record.items):
            earned[row, place] = (each.record.decision_id, item.slot) in hits
    return earned


def slates_of(answers: Sequence[Replayed], earned: Float64Array) -> LoggedSlates:
    """The answers as the estimators take them."""
    propensity, target = np.ones_like(earned), np.ones_like(earned)
    for row, each in enumerate(answers):
        n = len(each.record.items)
        propensity[row, :n] = [item.p_slot for item in each.record.items]
        wanted = [*each.target, *[""] * (n - len(each.target))]
        target[row, :n] = [one == other for one, other in zip(each.shown, wanted, strict=True)]
    silent = np.array([not each.target for each in answers])
    outside = np.array([not is_supported(each.record, each.target) for each in answers], np.float64)
    # Nobody is told apart who has no name: each of their lists stands for itself.
    keys = [each.record.subject_key or each.record.decision_id for each in answers]
    subject = np.unique(keys, return_inverse=True)[1].astype(np.int64)
    marginal, inverse = _slot_by_slot(answers, earned.shape)
    return LoggedSlates(
        earned,
        propensity,
        target,
        np.where(silent, 0.0, outside),
        subject=subject,
        marginal=marginal,
        inverse=inverse,
        is_silent=silent,
    )


def _slot_by_slot(
    answers: Sequence[Replayed], shape: tuple[int, ...]
) -> tuple[Float64Array | None, Float64Array | None]:
    """What estimators slot by slot need, (n, K) and (n,); None where a record does not tell it."""
    marginal, inverse = np.ones(shape), np.ones(shape[0])
    for row, each in enumerate(answers):
        found = marginals_of(each.record, each.target)
        if found is None:
            return None, None
        marginal[row, : len(found.propensity)] = found.propensity
        inverse[row] = found.weight
    return marginal, inverse


def _report(
    asked: tuple[str, str],
    reward: str,
    answers: Sequence[Replayed],
    log: LoggedSlates,
    counts: Mapping[str, int],
) -> OffPolicyReport:
    verdict, records = judge_slates(log), [each.record for each in answers]
    checks = check_records(records)
    refusal = _refusal(checks, verdict)
    return OffPolicyReport(
        candidate=asked[0],
        asked=asked[1],
        logged_models=tuple(sorted({each.model_version for each in records})),
        reward=reward,
        period_start=moment(records[0].ts_server).isoformat(),
        period_end=moment(records[-1].ts_server).isoformat(),
        lists=len(log),
        subjects=len({each.subject_key for each in records}),
        counts=counts,
        observed=mean_of("served", log.total, log.subject),
        same_lists=float(np.mean([each.target == each.shown for each in answers])),
        diagnosis=verdict.diagnosis,
        checks=checks,
        estimates=() if refusal else verdict.estimates,
        lift=None if refusal else _lift(log),
        refusal=refusal,
    )


def _compared(
    report: OffPolicyReport, logs: Sequence[LoggedSlates], against: str
) -> OffPolicyReport:
    """The report with what the candidate earns beyond another bundle, or why that is not told."""
    one, other = logs
    reason = report.refusal or judge_slates(other).refusal
    if reason is not None:
        return msgspec.structs.replace(report, against=against, gain_refusal=reason)
    name = f"SNRIPS less that of {against}"
    return msgspec.structs.replace(
        report, against=against, gain=snrips_difference(name, one, other)
    )


def _refusal(checks: Sequence[Check], verdict: Verdict) -> str | None:
    """Why no estimate may be told: the log is not true, or cannot tell."""
    broken = [
        f"not so: {each.name}: {each.found}"
        for each in checks
        if each.is_met is False and not each.is_by_chance
    ]
    return "; ".join([*broken, *([verdict.refusal] if verdict.refusal else [])]) or None


def _lift(log: LoggedSlates) -> Estimate:
    """RIPS less what was earned, list by list: what both have in common cancels out."""
    gains = (log.running_weight * log.gained).sum(axis=1) - log.total
    return mean_of(f"{rips(log).name} less served", gains, log.subject)


def _keep(
    report: OffPolicyReport,
    weight: Float64Array,
    root: Path,
    registered: RegisteredModel | None,
    bench: Workbench,
) -> None:
    files = [*report.save(root), draw_off_policy(report, weight, root)]
    if registered is not None:
        run = Run(bench.registry, registered.run_id, bench.clock)
        for path in files:
            run.log_file(path, "off_policy")
