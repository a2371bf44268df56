"""What arms of a closed loop have in common and where they differ, with intervals over shoppers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from recommender.errors import InvalidInputError
from recommender.journey import remaining_steps
from recommender.terms import Float64Array
from training.evaluation.bootstrap import Bootstrap, Interval
from training.simulation.closed_loop import Arm

STEPS: Final = "steps to purchase"
CONVERSION: Final = "conversion"
REPEATED: Final = "shown again though ignored"


class ArmReport(msgspec.Struct, frozen=True):
    """One arm.

    Parameters
    ----------
    visits, purchases, asked
        Visits of people; purchases whose journeys began after the switch; lists from the pipeline.
    figures
        By name.
    differences
        This arm minus the first, the same draws of shoppers for both; empty for the first.
    """

    name: str
    visits: int
    purchases: int
    asked: int
    figures: Mapping[str, Interval]
    differences: Mapping[str, Interval]


class LoopReport(msgspec.Struct, frozen=True):
    """All arms, the first of which the others are compared with.

    Parameters
    ----------
    people
        Shoppers who came in at least one arm; they are drawn for the intervals.
    """

    people: int
    horizon: int
    confidence: float
    arms: tuple[ArmReport, ...]

    def rows(self) -> list[dict[str, object]]:
        """One row per arm: figures."""
        return [
            {
                "policy": arm.name,
                "visits": arm.visits,
                "purchases": arm.purchases,
                **{name: _cell(each) for name, each in arm.figures.items()},
            }
            for arm in self.arms
        ]

    def difference_rows(self) -> list[dict[str, object]]:
        """One row per arm but the first: differences from it."""
        return [
            {
                "policy": f"{arm.name} minus {self.arms[0].name}",
                **{name: _cell(each, signed=True) for name, each in arm.differences.items()},
            }
            for arm in self.arms[1:]
        ]

    def to_json(self) -> bytes:
        """The whole report on one line."""
        return msgspec.json.encode(self)


@dataclass(frozen=True, slots=True)
class _Ratio:
    """A figure that is a sum over shoppers divided by another."""

    top: Callable[[Arm], Float64Array]
    bottom: Callable[[Arm], Float64Array]


_RATIOS: Final[Mapping[str, _Ratio]] = {
    STEPS: _Ratio(lambda arm: arm.steps, lambda arm: arm.journeys),
    CONVERSION: _Ratio(lambda arm: arm.buying_visits, lambda arm: arm.visits),
    "visits per shopper": _Ratio(lambda arm: arm.visits, lambda arm: np.ones(len(arm.visits))),
    "pages per visit": _Ratio(lambda arm: arm.pages, lambda arm: arm.visits),
    "dismissals per visit": _Ratio(lambda arm: arm.dismissals, lambda arm: arm.visits),
    "visits ended tired": _Ratio(lambda arm: arm.tired, lambda arm: arm.visits),
    REPEATED: _Ratio(lambda arm: arm.repeated, lambda arm: arm.shown),
}
BOTH: Final = "first purchase, of who bought in both"
REMAINING: Final = "remaining steps"


def compare(arms: Sequence[Arm], horizon: int, draws_seed: int, rounds: int = 1000) -> LoopReport:
    """Figures of each arm, and what each differs from the first by.

    Raises
    ------
    InvalidInputError
        No arm, or an arm in which nobody bought.
    """
    if not arms or any(not arm.journeys.any() for arm in arms):
        named = ", ".join(arm.name for arm in arms if not arm.journeys.any()) or "none given"
        raise InvalidInputError(
            f"arms without a purchase: {named}; accepted: arms in which somebody bought, so take "
            "more shoppers, more days, or visits that are made to buy"
        )
    came = np.logical_or.reduce([arm.visits > 0 for arm in arms])
    arms = [arm.of(came) for arm in arms]
    draws = Bootstrap.draw(int(came.sum()), rounds, 0.95, draws_seed)
    drawn = [_drawn(arm, draws, horizon) for arm in arms]
    reports = []
    for arm, values in zip(arms, drawn, strict=True):
        differences = {} if arm is arms[0] else _differences(values, drawn[0], draws)
        if differences:
            differences |= _first_purchases(arm, arms[0], draws)
        figures = {name: draws.around(*each) for name, each in values.items()}
        reports.append(
            ArmReport(
                arm.name,
                int(arm.visits.sum()),
                int(arm.journeys.sum()),
                arm.asked,
                figures,
                differences,
            )
        )
    return LoopReport(int(came.sum()), horizon, draws.confidence, tuple(reports))


Drawn = Mapping[str, tuple[float, Float64Array]]


def _drawn(arm: Arm, draws: Bootstrap, horizon: int) -> Drawn:
    """Each figure for the whole and for each draw of shoppers."""
    found: dict[str, tuple[float, Float64Array]] = {}
    for name, ratio in _RATIOS.items():
        top, bottom = ratio.top(arm), ratio.bottom(arm)
        found[name] = (_ratio(top, bottom), _divided(draws, top, bottom))
    whole = remaining_steps(arm.bought.sum(axis=0), arm.left.sum(axis=0), horizon)
    each = remaining_steps(draws.counts @ arm.bought, draws.counts @ arm.left, horizon)
    found[REMAINING] = (float(whole), each)
    return found


def _divided(draws: Bootstrap, top: Float64Array, bottom: Float64Array) -> Float64Array:
    sums, sizes = draws.counts @ top, draws.counts @ bottom
    # A draw without a purchase has no mean way; it takes the whole's, which says nothing new.
    return np.where(sizes > 0, sums / np.maximum(sizes, 1e-12), _ratio(top, bottom))


def _ratio(top: Float64Array, bottom: Float64Array) -> float:
    """0 where there is nothing to divide by: an arm without lists shows nothing again."""
    return float(top.sum() / bottom.sum()) if bottom.any() else 0.0


def _differences(values: Drawn, first: Drawn, draws: Bootstrap) -> dict[str, Interval]:
    return {
        name: draws.around(whole - first[name][0], each - first[name][1])
        for name, (whole, each) in values.items()
    }


def _first_purchases(arm: Arm, first: Arm, draws: Bootstrap) -> dict[str, Interval]:
    """Steps of the first purchase, of shoppers who bought in both arms: their own difference."""
    difference = arm.first_steps - first.first_steps
    return {} if np.isnan(difference).all() else {BOTH: draws.interval(difference)}


def _cell(interval: Interval, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{interval.mean:{sign}.3f} [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"
