"""How well the pace of visits is told, judged on simulated shops that nothing was learnt from.

Formulas: *balanced accuracy* is the mean over the modes of the share of steps of that true mode
that were told right. *Expected calibration error* (Guo et al. 2017) puts steps into 15 bins of
equal width by confidence; it is the mean over the steps of how far the share told right in their
bin is from the mean confidence there. *Changes* count how often the mode told differs from the one
a step earlier in the same visit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from recommender.pace import PaceNetwork
from recommender.terms import MODES, BoolArray, Float64Array, Int32Array, Int64Array
from training.evaluation.report import markdown_table
from training.pace_learning import Steps, probabilities

BINS = 15
TARGET_ACCURACY = 0.75
TARGET_ERROR = 0.05
DEPTHS = ((3, 3), (4, 4), (5, 5), (6, 7), (8, 10), (11, 15), (16, 1_000))


class Depth(msgspec.Struct, frozen=True):
    """Steps of one depth of the visit."""

    name: str
    steps: int
    balanced_accuracy: float


class Sure(msgspec.Struct, frozen=True):
    """Steps whose confidence reaches a threshold: how many, and how often they are right."""

    confidence: float
    share: float
    accuracy: float


class CalibrationBin(msgspec.Struct, frozen=True):
    """Steps of one bin of confidence; `low` is its lower edge."""

    low: float
    steps: int
    confidence: float
    accuracy: float


class PaceReport(msgspec.Struct, frozen=True):
    """Everything that was judged.

    Parameters
    ----------
    confusion
        Steps by true mode, then by the mode told, in the order of `modes`.
    recall
        Share of the steps of each true mode that were told right.
    changes_per_visit
        Mean number of changes of the mode after it is first known.
    steady_visits
        Share of the visits whose mode never changes.
    change_rate
        Changes per further step.
    """

    seeds: tuple[int, ...]
    visits: int
    steps: int
    modes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    recall: Mapping[str, float]
    accuracy: float
    balanced_accuracy: float
    calibration_error: float
    by_depth: tuple[Depth, ...]
    by_confidence: tuple[Sure, ...]
    bins: tuple[CalibrationBin, ...]
    changes_per_visit: float
    steady_visits: float
    change_rate: float

    @property
    def targets(self) -> list[dict[str, object]]:
        """What was aimed at, and whether it was reached."""
        return [
            {
                "figure": "balanced accuracy",
                "value": f"{self.balanced_accuracy:.3f}",
                "target": f"≥ {TARGET_ACCURACY}",
                "reached": self.balanced_accuracy >= TARGET_ACCURACY,
            },
            {
                "figure": f"expected calibration error, {BINS} bins",
                "value": f"{self.calibration_error:.3f}",
                "target": f"≤ {TARGET_ERROR}",
                "reached": self.calibration_error <= TARGET_ERROR,
            },
        ]

    def confusion_rows(self) -> list[dict[str, object]]:
        """One row per true mode: shares of the modes told."""
        return [
            {
                "true": mode,
                "steps": sum(counts),
                **{
                    told: f"{count / max(sum(counts), 1):.3f}"
                    for told, count in zip(self.modes, counts, strict=True)
                },
            }
            for mode, counts in zip(self.modes, self.confusion, strict=True)
        ]

    def depth_rows(self) -> list[dict[str, object]]:
        """Balanced accuracy by depth."""
        return [
            {
                "step": each.name,
                "steps": each.steps,
                "balanced accuracy": f"{each.balanced_accuracy:.3f}",
            }
            for each in self.by_depth
        ]

    def confidence_rows(self) -> list[dict[str, object]]:
        """How often the mode is right where it is so sure."""
        return [
            {
                "confidence from": each.confidence,
                "share of steps": f"{each.share:.3f}",
                "right": f"{each.accuracy:.3f}",
            }
            for each in self.by_confidence
        ]

    def stability_rows(self) -> list[dict[str, object]]:
        """How often the mode changes."""
        return [
            {"figure": "changes per visit", "value": f"{self.changes_per_visit:.2f}"},
            {"figure": "visits that never change", "value": f"{self.steady_visits:.3f}"},
            {"figure": "changes per further step", "value": f"{self.change_rate:.3f}"},
        ]

    def to_json(self) -> bytes:
        """The report for machines."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    def to_markdown(self) -> str:
        """The report for people."""
        tables = (
            ("Targets", self.targets),
            ("True mode (rows) and mode told, share of the row", self.confusion_rows()),
            ("By depth of the visit", self.depth_rows()),
            ("By confidence", self.confidence_rows()),
            ("Stability", self.stability_rows()),
        )
        seeds = ", ".join(map(str, self.seeds))
        head = f"# Pace\n\n{self.steps} steps of {self.visits} visits, shops {seeds}.\n"
        parts = [f"\n## {title}\n\n{_markdown(rows)}\n" for title, rows in tables]
        return head + "".join(parts)


def judged(network: PaceNetwork, steps: Steps, seeds: Sequence[int]) -> PaceReport:
    """Judge a network on labelled steps."""
    shares = probabilities(network, steps.features)
    told = shares.argmax(axis=1)
    confidence, right = shares.max(axis=1), told == steps.label
    confusion = np.zeros((len(MODES), len(MODES)), np.int64)
    np.add.at(confusion, (steps.label, told), 1)
    bins = _bins(confidence, right)
    changes, further, steady = _changes(steps, told)
    visits = len(np.unique(steps.visit))
    return PaceReport(
        seeds=tuple(seeds),
        visits=visits,
        steps=len(steps),
        modes=MODES,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        recall=dict(zip(MODES, _recalls(steps.label, told), strict=True)),
        accuracy=float(right.mean()),
        balanced_accuracy=_balanced(steps.label, told),
        calibration_error=sum(
            each.steps / len(steps) * abs(each.accuracy - each.confidence) for each in bins
        ),
        by_depth=_by_depth(steps, told),
        by_confidence=tuple(
            Sure(
                limit, float((confidence >= limit).mean()), float(right[confidence >= limit].mean())
            )
            for limit in (0.0, 0.5, 0.6, 0.7, 0.8, 0.9)
            if (confidence >= limit).any()
        ),
        bins=bins,
        changes_per_visit=changes / visits,
        steady_visits=steady / visits,
        change_rate=changes / max(further, 1),
    )


def _recalls(label: Int32Array, told: Int64Array) -> list[float]:
    """Share of each true mode that was told right; NaN where there is no such step."""
    return [
        float((told[label == mode] == mode).mean()) if (label == mode).any() else float("nan")
        for mode in range(len(MODES))
    ]


def _balanced(label: Int32Array, told: Int64Array) -> float:
    return float(np.nanmean(_recalls(label, told)))


def _by_depth(steps: Steps, told: Int64Array) -> tuple[Depth, ...]:
    found = []
    for low, high in DEPTHS:
        within = (steps.step >= low) & (steps.step <= high)
        if within.any():
            name = str(low) if low == high else f"{low} to {high}" if high < 1_000 else f"{low} on"
            accuracy = _balanced(steps.label[within], told[within])
            found.append(Depth(name, int(within.sum()), accuracy))
    return tuple(found)


def _bins(confidence: Float64Array, right: BoolArray) -> tuple[CalibrationBin, ...]:
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    return tuple(
        CalibrationBin(
            number / BINS,
            int((place == number).sum()),
            float(confidence[place == number].mean()),
            float(right[place == number].mean()),
        )
        for number in np.unique(place).tolist()
    )


def _changes(steps: Steps, told: Int64Array) -> tuple[int, int, int]:
    """Changes of the mode, steps after the first known one, and visits without a change."""
    same_visit = np.diff(steps.visit) == 0
    changed = same_visit & (np.diff(told) != 0)
    unsteady = len(np.unique(steps.visit[1:][changed]))
    return int(changed.sum()), int(same_visit.sum()), len(np.unique(steps.visit)) - unsteady


def _markdown(rows: Sequence[Mapping[str, object]]) -> str:
    return markdown_table(list(rows[0]), [[str(cell) for cell in row.values()] for row in rows])
