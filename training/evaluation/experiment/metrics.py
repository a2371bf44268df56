"""What a test is read by: the metrics, in which direction they are better, and what they divide.

Outcomes are those of the subject within the window after the first exposure, wherever they came
from; figures of answers are those of all answers to the subject within it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

OUTCOMES: Final = (
    "converted",
    "orders",
    "revenue",
    "carts",
    "clicks",
    "dismissals",
    "journeys",
    "journey_steps",
)
"""Sums per subject; each has a twin ``pre_…`` of the time before the first exposure."""
ANSWERS: Final = ("answers", "degraded", "fallbacks", "empty", "changed", "measured_changes")
"""Sums over the subject's answers."""
PRE: Final = "pre_"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, Σ numerator / Σ denominator over the subjects of an arm.

    Parameters
    ----------
    numerator, denominator
        Columns of the units; without denominator the subjects are counted.
    covariate
        Column of before the first exposure that narrows the interval.
    is_higher_better
        Which way an arm wins.
    tolerance
        How much worse a guardrail may get, in the metric's own unit; None for what is no guardrail.
    trap
        What not to conclude from it.
    """

    name: str
    numerator: str
    denominator: str | None = None
    covariate: str | None = None
    is_higher_better: bool = True
    tolerance: float | None = None
    trap: str = ""


METRICS: Final = (
    Metric(
        "conversion",
        "converted",
        covariate="pre_orders",
        trap="counts who bought at all, not what",
    ),
    Metric("orders", "orders", covariate="pre_orders", trap="a few wholesale buyers can decide it"),
    Metric("revenue", "revenue", covariate="pre_revenue", trap="heavy tails: needs many subjects"),
    Metric("carts", "carts", covariate="pre_carts", trap="what is put in need not be bought"),
    Metric(
        "clicks_per_answer",
        "clicks",
        "answers",
        covariate="pre_clicks",
        trap="a list that is clicked more need not sell more",
    ),
    Metric(
        "steps_to_purchase",
        "journey_steps",
        "journeys",
        is_higher_better=False,
        trap="of those who bought only: read it beside conversion, which decides who they are",
    ),
)


def guardrails(tolerances: Mapping[str, float]) -> tuple[Metric, ...]:
    """What must not get worse by more than the tolerances, by name."""
    known = (
        ("error_share", "degraded", "answers", "answers that something failed in"),
        ("fallback_share", "fallbacks", "answers", "of a rung below what fits the shopper or item"),
        ("empty_share", "empty", "answers", "an empty list can be what a rule wants"),
        ("changed_share", "changed", "measured_changes", "of answers whose placement limits it"),
        ("slow_share", "slow", "answers", "slower than 95 % of the control's answers"),
        ("dismissals_per_answer", "dismissals", "answers", "few dismiss; most just leave"),
    )
    return tuple(
        Metric(name, numerator, of, None, False, tolerances[name], trap)  # noqa: FBT003
        for name, numerator, of, trap in known
    )
