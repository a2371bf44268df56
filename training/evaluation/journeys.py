"""How many steps earlier shoppers could have had what they bought; never without conversion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recommender.journey import mean_over_paths, remaining_steps
from recommender.terms import BoolArray, Float64Array, Int64Array
from training.dataset import moment
from training.evaluation.bootstrap import Bootstrap, Interval
from training.evaluation.journey_replay import Replayed, Variant, paths_of, replay
from training.evaluation.journey_report import (
    AskedModel,
    JourneyReport,
    JourneySlice,
    PathFigures,
    PlacementFigures,
    RemainingSteps,
)
from training.evaluation.journey_sample import JourneySample, Visits
from training.evaluation.journey_slices import ordered_names, stages_of
from training.spec import TrainingSpec

GROUPS = ("entry", "shopper", "length")
WHOLE = ("all", "all")


@dataclass(frozen=True, slots=True)
class Contest:
    """Who is asked.

    Parameters
    ----------
    variants
        Ways to answer at the same placement; the model first.
    pages
        The model at every placement.
    asked
        By name of a variant: bundle version, and how it was asked (see `training.exam`).
    """

    variants: tuple[Variant, ...]
    pages: tuple[Variant, ...]
    asked: Mapping[str, tuple[str, str]]


def report_journeys(
    sample: JourneySample,
    contest: Contest,
    spec: TrainingSpec,
    on_journey: Callable[[], None] = lambda: None,
) -> JourneyReport:
    """Replay the journeys with every variant and sum up.

    Parameters
    ----------
    sample
        Of a period that none of the models knows anything of.
    on_journey
        Called after each journey of each variant.
    """
    k, settings = spec.journeys.k, spec.evaluation
    replays = {each.name: replay(sample.journeys, each, k, on_journey) for each in contest.variants}
    pages = [(each, replay(sample.journeys, each, k, on_journey)) for each in contest.pages]
    figures = _Figures.of(sample, spec)
    first = contest.variants[0]
    return JourneyReport(
        placement=first.placement.name,
        objective=first.placement.objective,
        k=k,
        lookback_days=spec.journeys.lookback_days,
        max_steps=spec.journeys.max_steps,
        horizon=spec.journeys.horizon,
        confidence=settings.confidence,
        period_start=moment(sample.period.start).isoformat(),
        period_end=moment(sample.period.end).isoformat(),
        counts=dict(sample.counts),
        models={
            name: AskedModel(*asked, replays[name].answers) for name, asked in contest.asked.items()
        },
        slices=tuple(figures.slice(*each, replays) for each in _slices(sample)),
        gains={
            name: figures.mean(replays[first.name].saved - other.saved)
            for name, other in replays.items()
            if name != first.name
        },
        placements=tuple(
            PlacementFigures(
                page.placement.name, page.placement.objective, figures.paths(replayed, figures.all)
            )
            for page, replayed in pages
        ),
        remaining=tuple(_remaining(sample.visits, figures.visit_draws, spec.journeys.horizon)),
    )


def _slices(sample: JourneySample) -> list[tuple[str, str]]:
    labels = [*(each.labels for each in sample.journeys), *sample.visits.labels]
    return [WHOLE] + [
        (group, name)
        for group in GROUPS
        for name in ordered_names(group, (each[group] for each in labels))
    ]


@dataclass(frozen=True, slots=True)
class _Figures:
    """Means over journeys and visits with intervals over the shoppers who made them."""

    sample: JourneySample
    shopper: Int64Array
    steps: Float64Array
    first_sight: Float64Array
    journey_draws: Bootstrap
    visit_draws: Bootstrap

    @classmethod
    def of(cls, sample: JourneySample, spec: TrainingSpec) -> _Figures:
        journeys = sample.journeys
        shopper = np.array([each.shopper for each in journeys])
        sights = np.array([sight for each in journeys for sight in each.first_sight])
        settings = spec.evaluation
        drawing = (settings.bootstrap_rounds, settings.confidence, settings.seed)
        return cls(
            sample,
            shopper,
            np.array([each.steps for each in journeys], np.float64),
            mean_over_paths(sights, paths_of(journeys)),
            Bootstrap.draw(int(shopper.max()) + 1, *drawing),
            Bootstrap.draw(int(sample.visits.shopper.max()) + 1, *drawing),
        )

    @property
    def all(self) -> BoolArray:
        return np.ones(len(self.shopper), np.bool_)

    def slice(self, group: str, name: str, replays: Mapping[str, Replayed]) -> JourneySlice:
        journeys = np.array([_belongs(each.labels, group, name) for each in self.sample.journeys])
        visits = np.array([_belongs(each, group, name) for each in self.sample.visits.labels])
        some = bool(journeys.any())
        return JourneySlice(
            group,
            name,
            int(journeys.sum()),
            int(visits.sum()),
            self._conversion(visits),
            self.mean(self.steps, journeys) if some else None,
            self.mean(self.first_sight, journeys) if some else None,
            {each: self.paths(replays[each], journeys) for each in replays} if some else {},
        )

    def paths(self, replayed: Replayed, kept: BoolArray) -> PathFigures:
        saved, sight = (self._totals(each, kept) for each in (replayed.saved, self.first_sight))
        return PathFigures(
            self.mean(replayed.saved, kept),
            self.journey_draws.ratio(saved, sight) if sight.any() else None,
            self.mean(replayed.shortened, kept),
        )

    def mean(self, values: Float64Array, kept: BoolArray | None = None) -> Interval:
        """Mean per journey."""
        kept = self.all if kept is None else kept
        counts = self._totals(np.ones(len(values)), kept)
        return self.journey_draws.ratio(self._totals(values, kept), counts)

    def _totals(self, values: Float64Array, kept: BoolArray) -> Float64Array:
        shoppers = self.journey_draws.counts.shape[1]
        return np.bincount(self.shopper[kept], values[kept], shoppers).astype(np.float64)

    def _conversion(self, kept: BoolArray) -> Interval | None:
        if not kept.any():
            return None
        visits, shoppers = self.sample.visits, self.visit_draws.counts.shape[1]
        who, bought = visits.shopper[kept], visits.lengths.is_bought[kept]
        sums, counts = (np.bincount(who, each, shoppers) for each in (bought, np.ones(len(who))))
        return self.visit_draws.ratio(sums.astype(np.float64), counts.astype(np.float64))


def _belongs(labels: Mapping[str, str], group: str, name: str) -> bool:
    return (group, name) == WHOLE or labels[group] == name


def _remaining(visits: Visits, draws: Bootstrap, horizon: int) -> Sequence[RemainingSteps]:
    found = []
    for stage in stages_of(visits.lengths):
        reached = stage.reached(visits.lengths)
        if not reached.any():
            continue
        after = visits.lengths.steps[reached] - stage.reached_after[reached]
        ended = _endings(visits.shopper[reached], after, draws.counts.shape[1], horizon)
        is_bought = visits.lengths.is_bought[reached]
        bought, left = ended(is_bought), ended(~is_bought)
        whole = remaining_steps(bought.sum(axis=0), left.sum(axis=0), horizon)
        drawn = remaining_steps(draws.counts @ bought, draws.counts @ left, horizon)
        steps = draws.around(float(whole), drawn)
        found.append(RemainingSteps(stage.name, len(after), int(is_bought.sum()), steps))
    return found


def _endings(
    shopper: Int64Array, after: Int64Array, shoppers: int, horizon: int
) -> Callable[[BoolArray], Float64Array]:
    """Counts of chosen visits by shopper and remaining steps, float64 (shoppers, horizon + 1)."""
    width = horizon + 1
    place = shopper * width + np.minimum(after, horizon)

    def count(chosen: BoolArray) -> Float64Array:
        counts = np.bincount(place[chosen], minlength=shoppers * width)
        return counts.reshape(shoppers, width).astype(np.float64)

    return count
