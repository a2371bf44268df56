"""Sections of `training.toml` about tests: how they are read, and what a verdict takes.

What each key is for stands beside it in `training/training.toml`.
"""

from __future__ import annotations

from dataclasses import dataclass

from training.evaluation.experiment.metrics import METRICS
from training.settings import choice, number, whole


@dataclass(frozen=True, slots=True)
class ExperimentSpec:
    """How a test is read: windows, thresholds, and how much worse a guardrail may get."""

    primary: str = choice("conversion", *(metric.name for metric in METRICS))
    window_days: float = number(7, 0.001, 365)
    pre_days: float = number(14, 0, 365)
    confidence: float = number(0.95, 0.5, 0.999)
    tuned_subjects: int = whole(10_000, 10, 1_000_000_000)
    least_subjects: int = whole(100, 2, 1_000_000)
    srm_threshold: float = number(0.001, 0, 0.5)
    pre_period_threshold: float = number(0.001, 0, 0.5)
    bot_requests_per_minute: int = whole(60, 1, 1_000_000)
    max_error_gain: float = number(0.01, 0, 1)
    max_fallback_gain: float = number(0.05, 0, 1)
    max_empty_gain: float = number(0.01, 0, 1)
    max_slow_gain: float = number(0.05, 0, 1)
    max_changed_gain: float = number(0.2, 0, 1)
    max_dismissals_gain: float = number(0.01, 0, 1)
    max_coverage_loss: float = number(0.3, 0, 1)

    @property
    def tolerances(self) -> dict[str, float]:
        """How much worse each guardrail may get, in its own unit."""
        return {
            "error_share": self.max_error_gain,
            "fallback_share": self.max_fallback_gain,
            "empty_share": self.max_empty_gain,
            "slow_share": self.max_slow_gain,
            "changed_share": self.max_changed_gain,
            "dismissals_per_answer": self.max_dismissals_gain,
        }


@dataclass(frozen=True, slots=True)
class VerdictSpec:
    """What else than the gate's conditions a version must show to become the champion."""

    needs_experiment: bool = False
    needs_preference: bool = False
    needs_off_policy: bool = False
    needs_journeys: bool = False
    must_win_experiment: bool = True
    guardrails_must_be_ok: bool = False
    max_steps_lost: float = number(0.05, 0, 100)
    max_off_policy_loss: float = number(0.05, 0, 1)
