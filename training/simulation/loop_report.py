"""What arms of a closed loop have in common and where they differ, with intervals over shoppers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
TAKEN: Final = "steps taken per sale"
CONVERSION: Final = "conversion"
VISITS: Final = "visits per shopper"
PAGES: Final = "pages per visit"
DISMISSALS: Final = "dismissals per visit"
TIRED: Final = "visits ended tired"
REPEATED: Final = "shown again though ignored"
CHANGED: Final = "page changed"


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
    ratios
        This arm's figure divided by the first's, likewise; a figure that is 0 in the first is left
        out.
    """

    name: str
    visits: int
    purchases: int
    asked: int
    figures: Mapping[str, Interval]
    differences: Mapping[str, Interval]
    ratios: Mapping[str, Interval]


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


class SeedsReport(msgspec.Struct, frozen=True):
    """The same arms in one or several shops.

    Parameters
    ----------
    pooled
        All shoppers of all shops together.
    seeds
        Each shop by itself, by its seed.
    """

    pooled: LoopReport
    seeds: Mapping[int, LoopReport]

    def rows(self, names: Sequence[str]) -> list[dict[str, object]]:
        """One row per arm and shop: figures of some names, such as `WAY` or `NUISANCE`."""
        return [
            {
                "policy": arm.name,
                "seed": seed,
                "visits": arm.visits,
                "purchases": arm.purchases,
                **{name: _cell(arm.figures.get(name)) for name in names},
            }
            for seed, arm in self._arms()
        ]

    def against_first(self) -> list[dict[str, object]]:
        """One row per arm but the first, and shop: what a reader of an ablation looks at."""
        return [
            {
                "policy": arm.name,
                "seed": seed,
                f"{STEPS}, %": _cell(_percent(arm.ratios.get(STEPS)), "+.1f"),
                f"{TAKEN}, %": _cell(_percent(arm.ratios.get(TAKEN)), "+.1f"),
                f"{CONVERSION}, points": _cell(_scaled(arm.differences[CONVERSION]), "+.1f"),
                **{f"{name}, times": _cell(arm.ratios.get(name), ".2f") for name in TIMES},
                f"{CHANGED}, %": _cell(_scaled(arm.figures.get(CHANGED)), ".1f"),
            }
            for seed, arm in self._arms()
            if arm.name != self.pooled.arms[0].name
        ]

    def difference_rows(self, names: Sequence[str]) -> list[dict[str, object]]:
        """One row per arm but the first: differences from it in figures of some names."""
        return [
            {
                "policy": arm.name,
                **{name: _cell(arm.differences.get(name), "+.3f") for name in names},
            }
            for arm in self.pooled.arms[1:]
        ]

    def to_json(self) -> bytes:
        """The whole report on one line."""
        return msgspec.json.encode(self)

    def _arms(self) -> Iterator[tuple[str, ArmReport]]:
        """Arms in their order, each in all shops together and then in each of several."""
        for place, arm in enumerate(self.pooled.arms):
            yield "all", arm
            if len(self.seeds) > 1:
                for seed, report in self.seeds.items():
                    yield f"{seed}", report.arms[place]


@dataclass(frozen=True, slots=True)
class _Ratio:
    """A figure that is a sum over shoppers divided by another."""

    top: Callable[[Arm], Float64Array]
    bottom: Callable[[Arm], Float64Array]


_RATIOS: Final[Mapping[str, _Ratio]] = {
    STEPS: _Ratio(lambda arm: arm.steps, lambda arm: arm.journeys),
    TAKEN: _Ratio(lambda arm: arm.taken, lambda arm: arm.buying_visits),
    CONVERSION: _Ratio(lambda arm: arm.buying_visits, lambda arm: arm.visits),
    VISITS: _Ratio(lambda arm: arm.visits, lambda arm: np.ones(len(arm.visits))),
    PAGES: _Ratio(lambda arm: arm.pages, lambda arm: arm.visits),
    DISMISSALS: _Ratio(lambda arm: arm.dismissals, lambda arm: arm.visits),
    TIRED: _Ratio(lambda arm: arm.tired, lambda arm: arm.visits),
    REPEATED: _Ratio(lambda arm: arm.repeated, lambda arm: arm.shown),
    CHANGED: _Ratio(lambda arm: arm.changed, lambda arm: arm.compared),
}
BOTH: Final = "first purchase, of who bought in both"
REMAINING: Final = "remaining steps"
WAY: Final = (STEPS, TAKEN, CONVERSION, VISITS, PAGES, REMAINING)
"""Figures of how long the way is."""
NUISANCE: Final = (DISMISSALS, TIRED, REPEATED, CHANGED)
"""Figures of what shoppers may notice."""
TIMES: Final = (DISMISSALS, REPEATED, TIRED)


def compare_seeds(
    arms: Mapping[int, Sequence[Arm]], horizon: int, draws_seed: int, rounds: int = 1000
) -> SeedsReport:
    """Figures of the same arms in several shops, by seed, and of all their shoppers together.

    Raises
    ------
    InvalidInputError
        As `compare`.
    """
    seeds = {seed: compare(each, horizon, draws_seed, rounds) for seed, each in arms.items()}
    pooled = [Arm.pooled(each) for each in zip(*arms.values(), strict=True)]
    return SeedsReport(compare(pooled, horizon, draws_seed, rounds), seeds)


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
        ratios = {} if arm is arms[0] else _ratios(values, drawn[0], draws)
        figures = {name: draws.around(*each) for name, each in values.items()}
        reports.append(
            ArmReport(
                arm.name,
                int(arm.visits.sum()),
                int(arm.journeys.sum()),
                arm.asked,
                figures,
                differences,
                ratios,
            )
        )
    return LoopReport(int(came.sum()), horizon, draws.confidence, tuple(reports))


Drawn = Mapping[str, tuple[float, Float64Array]]


def _drawn(arm: Arm, draws: Bootstrap, horizon: int) -> Drawn:
    """Each figure for the whole and for each draw of shoppers."""
    found: dict[str, tuple[float, Float64Array]] = {}
    for name, ratio in _RATIOS.items():
        top, bottom = ratio.top(arm), ratio.bottom(arm)
        if name == CHANGED and not bottom.any():
            continue  # no list came from the pipeline: there is no default to differ from
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
        if name in first
    }


def _ratios(values: Drawn, first: Drawn, draws: Bootstrap) -> dict[str, Interval]:
    """Draws in which the first has nothing to divide by are left out of an interval."""
    found: dict[str, Interval] = {}
    for name in (STEPS, TAKEN, *TIMES):
        (whole, each), (base, bases) = values[name], first[name]
        some = bases > 0
        if base > 0:
            found[name] = draws.around(whole / base, each[some] / bases[some])
    return found


def _first_purchases(arm: Arm, first: Arm, draws: Bootstrap) -> dict[str, Interval]:
    """Steps of the first purchase, of shoppers who bought in both arms: their own difference."""
    difference = arm.first_steps - first.first_steps
    return {} if np.isnan(difference).all() else {BOTH: draws.interval(difference)}


def _percent(ratio: Interval | None) -> Interval | None:
    """How much more than the first, in percent."""
    if ratio is None:
        return None
    return _scaled(Interval(ratio.mean - 1, ratio.low - 1, ratio.high - 1))


def _scaled(interval: Interval | None) -> Interval | None:
    if interval is None:
        return None
    return Interval(100 * interval.mean, 100 * interval.low, 100 * interval.high)


def _cell(interval: Interval | None, form: str = ".3f") -> str:
    if interval is None:
        return ""
    return f"{interval.mean:{form}} [{interval.low:{form}}, {interval.high:{form}}]"
