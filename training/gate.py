"""The gate: what a new model must show before it may serve.

Two fits of the challenger come before it. The *judged* one has learnt nothing of the hold-out
period; it carries the quality conditions. The *served* one has learnt from everything; it is the
one that would go out, so it carries the conditions on size, speed and sanity, and must not be
worse than the judged one at what it has even seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from recommender.terms import Float64Array
from training.evaluation.bootstrap import Bootstrap
from training.evaluation.report import EvaluationReport
from training.gate_evidence import Evidence, overlap
from training.sections import EvaluationSpec, GateSpec

# Item groups in which the blend must keep what the best single source finds.
RARE_GROUPS: Final = ("middle", "tail")


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition with what was found.

    Parameters
    ----------
    limit
        What would be accepted, in words, for example ``">= 0.05"``.
    """

    name: str
    value: float
    limit: str
    passed: bool

    def as_row(self) -> dict[str, object]:
        """The condition as one row of a table."""
        verdict = "passed" if self.passed else "REFUSED"
        return {
            "condition": self.name,
            "value": self.value,
            "accepted": self.limit,
            "verdict": verdict,
        }


@dataclass(frozen=True, slots=True)
class GateCase:
    """Everything the gate looks at; all evidence is about the same hold-out shoppers.

    Parameters
    ----------
    judged, served
        The challenger: learnt from before the hold-out period, and learnt from everything.
    popularity
        NDCG per shopper of popularity alone, float64 (n,), learnt like `judged`.
    champion
        The champion, learnt from before the hold-out period; None when there is no champion.
    champion_served
        The champion as it serves now.
    champion_how
        How `champion` was made, in words.
    report
        The evaluation of `judged` beside its single sources.
    """

    judged: Evidence
    served: Evidence
    popularity: Float64Array
    champion: Evidence | None = None
    champion_served: Evidence | None = None
    champion_how: str | None = None
    report: EvaluationReport | None = None


@dataclass(frozen=True, slots=True)
class GateReport:
    """The verdict, with every condition."""

    bundle_version: str
    champion_version: str | None
    conditions: tuple[Condition, ...]
    champion_how: str | None = None

    @property
    def passed(self) -> bool:
        """Whether every condition holds."""
        return all(each.passed for each in self.conditions)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What was refused, one sentence each."""
        return tuple(
            f"{each.name} is {each.value:.4g}; accepted: {each.limit}"
            for each in self.conditions
            if not each.passed
        )

    @property
    def tags(self) -> dict[str, str]:
        """For the registered version."""
        tags = {"gate": "passed" if self.passed else "refused"}
        for each in self.conditions:
            verdict = "passed" if each.passed else "refused"
            tags[f"gate.{each.name}"] = f"{each.value:.6g} ({each.limit}): {verdict}"
        return tags

    @property
    def metrics(self) -> dict[str, float]:
        """Flat figures for the run, ``gate_<condition>``."""
        return {f"gate_{each.name}": each.value for each in self.conditions}

    @property
    def summary(self) -> dict[str, object]:
        """The whole report as plain JSON types."""
        return {
            "passed": self.passed,
            "bundle_version": self.bundle_version,
            "champion_version": self.champion_version,
            "champion_asked": self.champion_how,
            "conditions": [each.as_row() for each in self.conditions],
        }


def judge(case: GateCase, limits: GateSpec, evaluation: EvaluationSpec) -> GateReport:
    """Put a challenger through the gate. Every condition is checked, also after one has failed."""
    conditions = [*_sanity(case, limits), *_quality(case, limits, evaluation)]
    if case.report is not None:
        conditions += _rare_items(case.report, limits)
    if case.champion is not None:
        conditions += _against_champion(case, case.champion, limits)
    champion = case.champion_served
    return GateReport(
        case.served.bundle_version,
        champion.bundle_version if champion else None,
        tuple(conditions),
        case.champion_how,
    )


def _sanity(case: GateCase, limits: GateSpec) -> list[Condition]:
    served = case.served
    finite = case.judged.is_finite and served.is_finite
    return [
        Condition("finite", float(finite), "no NaN or infinity", finite),
        _at_least("users", len(case.popularity), limits.min_users),
        _at_least("coverage", served.coverage, limits.min_coverage),
        _at_least("distinct_lists", served.distinct_lists, limits.min_distinct_lists),
        _at_most("flat_lists", served.flat_lists, limits.max_flat_lists),
        _at_most("bundle_mb", served.megabytes, limits.max_bundle_mb),
        _at_most("latency_p95_ms", served.latency_ms, limits.max_latency_ms),
    ]


def _quality(case: GateCase, limits: GateSpec, evaluation: EvaluationSpec) -> list[Condition]:
    judged = case.judged.mean_ndcg
    conditions = [
        _at_least("ndcg", judged, limits.min_ndcg),
        _at_least("refit_ndcg", case.served.mean_ndcg, judged * (1 - limits.max_ndcg_loss)),
    ]
    if limits.must_beat_popularity:
        low = _gain_low(case, evaluation)
        conditions.append(Condition("gain_over_popularity_low", low, "> 0", low > 0))
    return conditions


def _rare_items(report: EvaluationReport, limits: GateSpec) -> list[Condition]:
    """The blend beside the best single source: what both find among rare items, and show at all."""
    blend, best = report.variants[0], report.best_single
    conditions = [
        # The top of the interval: a shop with few rare targets is not refused for bad luck.
        _at_least(
            f"{group}_recall_gain_high",
            best.group_loss[group].high,
            -limits.max_rare_loss * best.groups[group].mean,
        )
        for group in RARE_GROUPS
        if group in best.groups
    ]
    gain = blend.beyond["gini"] - best.beyond["gini"]
    return [*conditions, _at_most("gini_gain", gain, limits.max_gini_gain)]


def _gain_low(case: GateCase, evaluation: EvaluationSpec) -> float:
    if len(case.judged.ndcg) == 0 or len(case.judged.ndcg) != len(case.popularity):
        return 0.0
    draws = Bootstrap.draw(
        len(case.popularity), evaluation.bootstrap_rounds, evaluation.confidence, evaluation.seed
    )
    return draws.interval(case.judged.ndcg - case.popularity).low


def _against_champion(case: GateCase, champion: Evidence, limits: GateSpec) -> list[Condition]:
    floor = champion.mean_ndcg * (1 - limits.max_ndcg_loss)
    conditions = [_at_least("ndcg_against_champion", case.judged.mean_ndcg, floor)]
    if case.champion_served is not None and case.champion_served.is_finite:
        found = 0.0
        if case.served.is_finite:
            found = overlap(case.served.rankings, case.champion_served.rankings)
        low, high = limits.min_overlap, limits.max_overlap
        conditions.append(
            Condition("overlap_at_10", found, f"{low:.4g} to {high:.4g}", low <= found <= high)
        )
    return conditions


def _at_least(name: str, value: float, limit: float) -> Condition:
    return Condition(name, float(value), f">= {limit:.4g}", value >= limit)


def _at_most(name: str, value: float, limit: float) -> Condition:
    return Condition(name, float(value), f"<= {limit:.4g}", value <= limit)
