"""Hold-out journeys as questions step by step, and the visits that they have to stand beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from recommender.errors import DataError
from recommender.journey import Journeys, VisitLengths, journeys_of
from recommender.journey import visit_lengths as lengths_of
from recommender.query import Interaction, Query
from recommender.terms import EVENT_TYPES, BoolArray, Int64Array
from recommender.trail import Trail, rows_before
from training.dataset import moment
from training.engine import EventWindow, Period
from training.evaluation.journey_slices import Labels, entry_name, length_name, stage_name
from training.exam import Store
from training.sections import SECONDS_PER_DAY
from training.spec import TrainingSpec
from training.split import query_of

NO_STEP: Final = "no step before the purchase"
BEGAN_BEFORE: Final = "began before the period"
SAMPLED: Final = "sampled down"


@dataclass(frozen=True, slots=True)
class Journey:
    """One journey of the hold-out period.

    Parameters
    ----------
    shopper
        Number of the shopper among those of the sample.
    bought, first_sight
        Different items of the purchase, and the first sight of each.
    queries
        What can be asked before step 0, 1, … up to the last first sight; fewer where the journey
        is longer than the report follows. Each holds what was known strictly before its step.
    labels
        The slices that it belongs to.
    """

    shopper: int
    bought: tuple[str, ...]
    first_sight: tuple[int, ...]
    steps: int
    queries: tuple[Query, ...]
    labels: Labels


@dataclass(frozen=True, slots=True)
class Visits:
    """Visits of the hold-out period, one row each.

    Parameters
    ----------
    shopper
        Number of the shopper among those of the sample, int64 (v,).
    lengths
        Steps and outcome.
    labels
        The slices that each belongs to.
    """

    shopper: Int64Array
    lengths: VisitLengths
    labels: tuple[Labels, ...]

    def __len__(self) -> int:
        return len(self.shopper)


@dataclass(frozen=True, slots=True)
class JourneySample:
    """What the report is about.

    Parameters
    ----------
    counts
        Purchases of the period, journeys kept and left out by reason; visits, shoppers.
    """

    period: Period
    journeys: tuple[Journey, ...]
    visits: Visits
    counts: Mapping[str, int]


def sample_journeys(
    store: Store, window: EventWindow, spec: TrainingSpec, period: Period
) -> JourneySample:
    """Draw journeys, and visits, that lie in a period as a whole.

    A journey that began before the period is left out: the model has learnt from its beginning.

    Raises
    ------
    DataError
        No journey of the period is left.
    """
    path = store.engine.visits(store.layout, window, spec, period, store.workspace)
    found = _Found.read(window, pl.read_parquet(path), spec)
    reasons = _reasons(found, period)
    kept = np.flatnonzero(reasons == "")
    counts = {"purchases": int((reasons != "outside").sum())}
    counts |= {name: int((reasons == name).sum()) for name in (NO_STEP, BEGAN_BEFORE)}
    if not len(kept):
        raise DataError(
            f"no journey to a purchase lies between {moment(period.start).isoformat()} and "
            f"{moment(period.end).isoformat()}: {counts}; widen split.max_share"
        )
    chosen = _draw(kept, spec.journeys.max_journeys, spec.evaluation.seed)
    journeys = _journeys(found, chosen, window, spec)
    visits = _sample_visits(found, spec)
    at_once = sum(max(each.first_sight) == 0 for each in journeys)
    longer = sum(max(each.first_sight) > len(each.queries) for each in journeys)
    counts |= {SAMPLED: len(kept) - len(chosen), "kept": len(chosen)}
    counts |= {"begin with what is bought": at_once, "followed in part": longer}
    counts |= {"visits": len(found.visits), "visits kept": len(visits)}
    return JourneySample(period, journeys, visits, counts)


@dataclass(frozen=True, slots=True)
class _Found:
    """The log as arrays: the trail, when its rows arrived, all journeys, the period's visits."""

    trail: Trail
    available_at: Int64Array
    journeys: Journeys
    visits: pl.DataFrame
    lengths: VisitLengths

    @classmethod
    def read(cls, window: EventWindow, visits: pl.DataFrame, spec: TrainingSpec) -> _Found:
        columns = ("shopper_idx", "session", "item_idx", "event_code", "ts", "available_at")
        *events, available_at = (
            column.to_numpy() for column in window.scan().select(columns).collect().get_columns()
        )
        trail = Trail(*events)
        lookback = round(spec.journeys.lookback_days * SECONDS_PER_DAY * 1_000_000)
        who = visits["shopper_idx"].fill_null(-1).to_numpy()
        lengths = lengths_of(trail, who, visits["start"].to_numpy(), visits["end"].to_numpy())
        return cls(trail, available_at, journeys_of(trail, lookback), visits, lengths)

    def visit_of(self, rows: Int64Array) -> Int64Array:
        """Visit of the period that each row of the trail belongs to, -1 for none, int64."""
        who = self.visits["shopper_idx"].fill_null(-1).to_numpy()
        start, end = (self.visits[name].to_numpy() for name in ("start", "end"))
        order = np.lexsort((start, who))
        shopper, ts = self.trail.shopper_idx[rows], self.trail.ts[rows]
        place = rows_before(who[order], start[order], shopper, ts + 1) - 1
        visit = np.where(place >= 0, order[np.maximum(place, 0)], -1) if len(order) else place
        inside = visit >= 0
        inside[inside] = (who[visit[inside]] == shopper[inside]) & (
            end[visit[inside]] >= ts[inside]
        )
        return np.where(inside, visit, -1)

    def first_rows(self, chosen: Int64Array) -> Int64Array:
        """Row of the first step of journeys that have one, int64."""
        return self.journeys.step_rows[self.journeys.first_step[chosen]]


def _reasons(found: _Found, period: Period) -> np.ndarray[Any, np.dtype[np.str_]]:
    """Why each journey is left out, empty for those that stay."""
    journeys = found.journeys
    bought_at = found.trail.ts[journeys.purchase_row]
    reasons = np.full(len(journeys), "", f"U{max(map(len, (NO_STEP, BEGAN_BEFORE, 'outside')))}")
    some = np.flatnonzero(journeys.steps > 0)
    whole = np.zeros(len(journeys), np.bool_)
    whole[some] = (found.visit_of(found.first_rows(some)) >= 0) & (
        found.visit_of(journeys.purchase_row[some]) >= 0
    )
    reasons[~whole] = BEGAN_BEFORE
    reasons[journeys.steps == 0] = NO_STEP
    reasons[(bought_at < period.start) | (bought_at >= period.end)] = "outside"
    return reasons


def _draw(kept: Int64Array, limit: int, seed: int) -> Int64Array:
    if len(kept) <= limit:
        return kept
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(kept, limit, replace=False))


def _journeys(
    found: _Found, chosen: Int64Array, window: EventWindow, spec: TrainingSpec
) -> tuple[Journey, ...]:
    trail, journeys = found.trail, found.journeys
    labels = _labels(found)
    began = found.visit_of(found.first_rows(chosen))
    ended = found.visit_of(journeys.purchase_row[chosen])
    _, number = np.unique(trail.shopper_idx[journeys.purchase_row[chosen]], return_inverse=True)
    paths = np.searchsorted(journeys.path_journey, np.r_[chosen, chosen + 1]).reshape(2, -1)
    made = []
    for place, journey in enumerate(chosen.tolist()):
        rows = slice(*paths[:, place].tolist())
        sights = tuple(journeys.first_sight[rows].tolist())
        asked = journeys.rows_of_steps(journey)[: min(max(sights), spec.journeys.max_steps)]
        made.append(
            Journey(
                shopper=int(number[place]),
                bought=tuple(window.item_ids[item] for item in journeys.path_item[rows]),
                first_sight=sights,
                steps=int(journeys.steps[journey]),
                queries=_queries(found, asked, window, spec),
                labels=labels[began[place]] | {"length": labels[ended[place]]["length"]},
            )
        )
    return tuple(made)


def _queries(
    found: _Found, rows: Int64Array, window: EventWindow, spec: TrainingSpec
) -> tuple[Query, ...]:
    """What can be asked before each of a journey's steps."""
    if not len(rows):
        return ()
    trail = found.trail
    first = int(np.searchsorted(trail.shopper_idx, trail.shopper_idx[rows[0]]))
    own = slice(first, int(rows[-1]))
    past = [
        Interaction(window.item_ids[item], EVENT_TYPES[code], ts)
        for item, code, ts in zip(
            trail.item_idx[own].tolist(),
            trail.event_code[own].tolist(),
            trail.ts[own].tolist(),
            strict=True,
        )
    ]
    known_at = np.maximum(trail.ts[own], found.available_at[own])
    return tuple(
        query_of(_known(past, known_at < at, spec.seeds.max_history), at, spec)
        for at in trail.ts[rows].tolist()
    )


def _known(past: Sequence[Interaction], is_known: BoolArray, depth: int) -> list[Interaction]:
    return [past[place] for place in np.flatnonzero(is_known)[-depth:]]


def _sample_visits(found: _Found, spec: TrainingSpec) -> Visits:
    """All visits of a seeded sample of the shoppers who came."""
    ids = found.visits["shopper_id"].to_numpy()
    shoppers, number = np.unique(ids, return_inverse=True)
    drawn = _draw(np.arange(len(shoppers)), spec.evaluation.max_users, spec.evaluation.seed)
    kept = np.isin(number, drawn)
    labels = _labels(found)
    lengths = found.lengths
    return Visits(
        np.unique(number[kept], return_inverse=True)[1].astype(np.int64),
        VisitLengths(lengths.steps[kept], lengths.is_bought[kept], lengths.carted_after[kept]),
        tuple(labels[visit] for visit in np.flatnonzero(kept)),
    )


def _labels(found: _Found) -> list[Labels]:
    """Slices of each visit."""
    rows = found.visits.select("entry", "entry_placement", "is_known").iter_rows()
    return [
        {
            "entry": entry_name(entry, placement),
            "shopper": stage_name(is_known=is_known),
            "length": length_name(steps),
        }
        for (entry, placement, is_known), steps in zip(
            rows, found.lengths.steps.tolist(), strict=True
        )
    ]
