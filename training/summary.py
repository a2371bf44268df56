"""Results of training for people (tables) and for machines (one flat object)."""

from __future__ import annotations

import msgspec

from feature_store.console import Console
from training.data_checks import check_rows
from training.evaluation.bootstrap import Interval
from training.evaluation.candidate_report import CandidateReport, SourceRecall, recall_rows
from training.evaluation.journey_report import JourneyReport, share_cell, steps_cell
from training.evaluation.off_policy import Estimate
from training.evaluation.off_policy_report import OffPolicyReport
from training.evaluation.report import BLEND, EvaluationReport, shown
from training.gate import GateReport
from training.promote import Promotion
from training.reevaluation import CandidateRecall, Reevaluation
from training.registry import Tracking
from training.retrain import RetrainOutcome
from training.workflow import TrainOutcome, ingest_summary


def show_training(outcome: TrainOutcome, console: Console) -> None:
    """Counts, evaluation, gate and cost of a run, as tables."""
    if outcome.ingested is not None:
        report = outcome.ingested
        rows: list[dict[str, object]] = [
            {"rows": name, "count": count}
            for name, count in (
                ("in", report.rows_in),
                ("kept", report.kept),
                ("duplicates", report.duplicates),
                *((f"rejected: {reason}", n) for reason, n in report.rejected.items()),
            )
        ]
        console.table(f"Ingest of {report.source}", rows)
    console.table(f"Data checks of {outcome.checks.day}", check_rows(outcome.checks))
    show_evaluation(outcome.report, console)
    show_gate(outcome.gate, console)
    console.table("Stages", [each.as_row() for each in outcome.stages])


def show_evaluation(report: EvaluationReport, console: Console) -> None:
    """Each variant with the headline metric, its interval, and the gain of the blend over it."""
    metric = report.headline
    rows: list[dict[str, object]] = []
    for each in report.variants:
        gain = "" if each.name == BLEND else shown(each.loss[metric], signed=True)
        rows.append(
            {
                "variant": each.name,
                metric: shown(each.metrics[metric]),
                "blend minus it": gain,
                **{
                    f"{group} recall": f"{interval.mean:.3f}"
                    for group, interval in each.groups.items()
                },
                "coverage": f"{each.beyond['coverage']:.3f}",
                "gini": f"{each.beyond['gini']:.3f}",
                "repeat share": f"{each.beyond['repeat_share']:.3f}",
            }
        )
    title = f"{report.users} shoppers from {report.period_start} to {report.period_end}"
    console.table(f"Evaluation on {title}", rows)


def show_journeys(report: JourneyReport, console: Console) -> None:
    """Steps saved beside conversion, by slice and by placement; remaining steps; counts."""
    named = f"top {report.k} at {report.placement}, {report.period_start} to {report.period_end}"
    console.table(f"Steps saved, {named}", report.step_rows())
    console.table(
        "Share of the first sight saved, share of journeys shortened", report.share_rows()
    )
    console.table("Steps saved by the model minus each other", report.gain_rows())
    console.table("Steps saved by placement, asked as its page would", report.placement_rows())
    console.table(f"Remaining steps, counted up to {report.horizon}", report.remaining_rows())
    console.table("Counts", report.count_rows())


def show_candidates(report: CandidateReport, console: Console) -> None:
    """Recall of each source by budget and slice, and what it adds."""
    for part in report.slices:
        title = f"{part.group} {part.name}" if part.group != part.name else "all"
        console.table(
            f"Candidates of {title}: {part.users} shoppers, {part.targets} targets",
            recall_rows(part),
        )


def show_gate(report: GateReport, console: Console) -> None:
    """Every condition of the gate."""
    against = report.champion_version or "no champion"
    console.table(
        f"Gate for {report.bundle_version} against {against}",
        [each.as_row() for each in report.conditions],
    )


def show_promotion(found: Promotion, console: Console) -> None:
    """The gate, what every source says, and what was done."""
    show_gate(found.gate, console)
    console.table(f"decision: {found.verdict.decision}", found.verdict.rows)
    console.say(found.settlement.note)


def promotion_summary(found: Promotion) -> dict[str, object]:
    """What a promotion came to."""
    return (
        found.gate.summary
        | {"version": found.registered.version, "reasons": found.gate.reasons}
        | found.verdict.summary
        | {"champion": found.settlement.champion, "effect": found.settlement.note}
    )


def training_summary(outcome: TrainOutcome, tracking: Tracking) -> dict[str, object]:
    """What a training run gave."""
    registered, report = outcome.registered, outcome.report
    delivered = outcome.delivery
    return {
        "outcome": "promoted" if outcome.promoted else "refused",
        "reasons": list(outcome.gate.reasons),
        "bundle_version": registered.bundle_version,
        "bundle": str(delivered.folder) if delivered else None,
        "model": f"models:/{tracking.model}/{registered.version}",
        "run_id": registered.run_id,
        "tracking_uri": tracking.uri,
        "data_digest": registered.tags["data_digest"],
        report.headline: interval_summary(report.variant(BLEND).metrics[report.headline]),
        "gain_over": {
            each.name: interval_summary(each.loss[report.headline])
            for each in report.variants
            if each.loss
        },
        "ingest": ingest_summary(outcome.ingested) if outcome.ingested else None,
        "checks_tripped": [gate.name for gate in outcome.checks.tripped],
        "window": dict(outcome.counts),
        "seconds": round(sum(each.seconds for each in outcome.stages), 1),
        "peak_mb": max(each.peak_mb for each in outcome.stages),
    }


def retraining_summary(outcome: RetrainOutcome, tracking: Tracking) -> dict[str, object]:
    """What a retraining did."""
    summary: dict[str, object] = {
        "outcome": outcome.outcome,
        "exit_code": outcome.exit_code,
        "ingests": [ingest_summary(each) for each in outcome.ingested],
    }
    if outcome.trained is not None:
        trained = training_summary(outcome.trained, tracking)
        summary |= {
            key: value for key, value in trained.items() if key not in {"outcome", "ingest"}
        }
    elif outcome.delivery is not None:
        summary |= {"bundle_version": outcome.delivery.bundle_version}
    return summary


def evaluation_summary(found: Reevaluation) -> dict[str, object]:
    """Headline of a later evaluation."""
    report = found.report
    return {
        "bundle_version": found.bundle_version,
        "asked": found.asked,
        "users": report.users,
        "period": [report.period_start, report.period_end],
        "metrics": {
            each.name: {name: interval_summary(value) for name, value in each.metrics.items()}
            for each in report.variants
        },
        "item_groups": {
            each.name: {name: interval_summary(value) for name, value in each.groups.items()}
            for each in report.variants
        },
        "gini": {each.name: round(each.beyond["gini"], 6) for each in report.variants},
        "best_single": report.best_single.name,
        "beats": [each.name for each in report.variants if each.loss and report.beats(each.name)],
    }


def journey_summary(report: JourneyReport, *, as_json: bool) -> dict[str, object]:
    """The whole report for machines; its headline for people, who have seen the tables."""
    if as_json:
        whole: dict[str, object] = msgspec.to_builtins(report)
        return whole
    lines: dict[str, object] = {
        f"{name}: steps saved@{report.k}": steps_cell(figures.steps_saved)
        for name, figures in report.whole.variants.items()
    }
    return lines | {"conversion": share_cell(report.whole.conversion)}


def show_off_policy(report: OffPolicyReport, console: Console) -> None:
    """What estimates rest on, and the estimates, or why there are none."""
    basis = [{"": name, "value": value} for name, value in report.basis().items()]
    console.table(f"what {report.candidate} would have earned", basis)
    counts = [{"": name, "number": number} for name, number in report.counts.items()]
    console.table("answers and outcomes of the log", counts)
    console.table("checks of the log", report.check_rows())
    if report.diagnosis.warning:
        console.say(f"warning: {report.diagnosis.warning}")
    console.table("estimates", report.rows())
    if report.refusal:
        console.say(f"no estimate: {report.refusal}")
    elif report.gain_refusal:
        console.say(f"no comparison with {report.against}: {report.gain_refusal}")


def off_policy_summary(report: OffPolicyReport, *, as_json: bool) -> dict[str, object]:
    """The whole report for machines; its headline for people, who have seen the tables."""
    if as_json:
        whole: dict[str, object] = msgspec.to_builtins(report)
        return whole
    told: dict[str, object] = {
        "candidate": report.candidate,
        "asked": report.asked,
        "lift": _with_interval(report.lift),
    }
    return told if report.against is None else told | {"gain": _with_interval(report.gain)}


def _with_interval(found: Estimate | None) -> str:
    return f"{found.value:+.5f} [{found.low:+.5f}, {found.high:+.5f}]" if found else "no estimate"


def candidates_summary(found: CandidateRecall) -> dict[str, object]:
    """Recall of each source and of the union on everybody, and where the rest is."""
    report = found.report
    return {
        "bundle_version": found.bundle_version,
        "asked": found.asked,
        "users": report.users,
        "targets": report.targets,
        "period": [report.period_start, report.period_end],
        "pool_size": {str(k): round(size, 1) for k, size in report.pool_size.items()},
        "sources": {each.name: _source_summary(each) for each in report.everybody.rows},
        "files": [str(path) for path in found.files],
        "run_id": found.run_id,
    }


def _source_summary(row: SourceRecall) -> dict[str, object]:
    parts = {"recall": row.recall, "adds": row.adds, "adds_to_pool": row.adds_to_pool}
    return {
        name: {str(k): interval_summary(value) for k, value in part.items()}
        for name, part in parts.items()
        if part
    }


def interval_summary(interval: Interval) -> dict[str, float]:
    """An interval for machines."""
    return {
        "mean": round(interval.mean, 6),
        "low": round(interval.low, 6),
        "high": round(interval.high, 6),
    }
