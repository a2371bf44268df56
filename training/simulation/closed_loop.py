"""The same shoppers against several ways to answer: what really happened to their ways.

Each arm is a whole run of the shop with the same seed. Up to the day of the switch all arms are
one and the same: the shop shows its static lists, and a model can be learnt from that log. From
then on the arm's lists are shown, and shoppers react to them. Draws are by address (see
`training.simulation.chance`), so a shopper comes with the same needs in every arm, and whatever
differs is the lists' doing: what they clicked, bought, and left open for another visit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from recommender.errors import InvalidInputError
from recommender.journey import journeys_of, visit_lengths
from recommender.terms import (
    DISMISS,
    EVENT_CODES,
    INTERACTION_TYPES,
    VIEW_ITEM_LIST,
    BoolArray,
    Float64Array,
    Int64Array,
)
from recommender.trail import IntArray, Trail
from training.models.impression_discount import counted
from training.simulation.behaviour import Exit
from training.simulation.demand import DAY_MICROS
from training.simulation.emit import ParquetEmitter
from training.simulation.encode import Encoder
from training.simulation.flat import Flattener
from training.simulation.identity import Identity
from training.simulation.pipeline import Answering, PipelineRecommender, Way
from training.simulation.recommenders import Recommender
from training.simulation.recorder import EventChunk
from training.simulation.shop import DayLog, Shop, ShopSpec
from training.simulation.truth import OracleRecommender, Truth

Columns: TypeAlias = npt.NDArray[np.int64]
_VISITS_OF_ONE = 1_000_000
OFTEN_IGNORED = 2
"""Ignored showings after which one more is a repetition."""


@dataclass(frozen=True, slots=True)
class LoopRequest:
    """What every arm has in common.

    Parameters
    ----------
    spec
        The shop; its days are the warm-up and the days that count.
    warm_up_days
        Days before the switch.
    seed
        Of the shop: same seed, same shoppers.
    horizon
        Steps up to which remaining steps are counted.
    """

    spec: ShopSpec
    warm_up_days: int
    seed: int
    horizon: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.warm_up_days < self.spec.days:
            raise InvalidInputError(
                f"warm_up_days={self.warm_up_days}; accepted: 1 to {self.spec.days - 1}, so that "
                "days are left to count"
            )


@dataclass(frozen=True, slots=True)
class Arm:
    """What happened after the switch, by person; row s is shopper s in every arm.

    Parameters
    ----------
    visits, buying_visits
        Visits, and those with a purchase, float64 (n,).
    journeys, steps
        Purchases whose journeys began after the switch, and their steps to purchase, float64 (n,).
    first_steps
        Steps of the first of these, float64 (n,), NaN for who bought nothing.
    pages
        Pages seen, float64 (n,).
    taken
        Steps of all visits, of those that bought up to the first purchase, float64 (n,).
    bought, left
        Visits that bought, or ended without, after t steps, float64 (n, horizon + 1); the last
        column holds all beyond.
    dismissals, tired
        Suggestions dismissed, and visits that ended because lists repeated themselves,
        float64 (n,).
    shown, repeated
        Suggestions shown, and those of them that had been ignored `OFTEN_IGNORED` times or more
        since the switch, float64 (n,).
    compared, changed
        Suggestions in a sample of the pipeline's lists, and those of them that a stranger would not
        have been shown, float64 (n,); see `training.simulation.pipeline.beyond_default`.
    asked
        Lists that the pipeline filled.
    """

    name: str
    visits: Float64Array
    buying_visits: Float64Array
    journeys: Float64Array
    steps: Float64Array
    first_steps: Float64Array
    pages: Float64Array
    taken: Float64Array
    bought: Float64Array
    left: Float64Array
    dismissals: Float64Array
    tired: Float64Array
    shown: Float64Array
    repeated: Float64Array
    compared: Float64Array
    changed: Float64Array
    asked: int

    def of(self, people: BoolArray) -> Arm:
        """The same for chosen shoppers."""
        rows = {each.name: getattr(self, each.name) for each in fields(self)}
        rows = {name: rows[name][people] for name in rows.keys() - {"name", "asked"}}
        return replace(self, **rows)

    @classmethod
    def pooled(cls, arms: Sequence[Arm]) -> Arm:
        """The shoppers of several runs, one behind the other, of arms of one name."""
        rows = {
            each.name: np.concatenate([getattr(arm, each.name) for arm in arms])
            for each in fields(cls)
            if each.name not in {"name", "asked"}
        }
        return cls(arms[0].name, **rows, asked=sum(arm.asked for arm in arms))


def write_warm_up(request: LoopRequest, folder: Path) -> int:
    """Write the log before the switch, format ``desirepath-parquet``; returns how many events."""
    shop = Shop(request.spec, np.random.default_rng(request.seed))
    emitter = ParquetEmitter(folder, Flattener(shop.catalogue, shop.identity))
    days = zip(range(request.warm_up_days), shop.days(), strict=False)
    events = sum(emitter.write(log) for _, log in days)
    emitter.close()
    return events


def run_arm(request: LoopRequest, name: str, way: Way) -> Arm:
    """Run the shop; from the switch on its lists are filled in the given way."""
    pipeline = PipelineRecommender(way if isinstance(way, Answering) else None)
    shop = Shop(request.spec, np.random.default_rng(request.seed), None, pipeline.hear)
    pipeline.encoder = Encoder(shop.catalogue, shop.identity)
    tally = _Tally()
    for log in shop.days():
        tally.add(log, counts=log.day >= request.warm_up_days)
        if log.day + 1 == request.warm_up_days:
            tally.switch = log.midnight + DAY_MICROS
            shop.display.recommender = _filling(way, pipeline, shop)
    return tally.arm(name, request, shop, pipeline)


def _filling(way: Way, pipeline: PipelineRecommender, shop: Shop) -> Recommender | None:
    if isinstance(way, OracleRecommender):
        return OracleRecommender(Truth(shop))
    return None if way is None else pipeline


@dataclass(slots=True)
class _Tally:
    """Collects the acts of everybody, and the visits after the switch."""

    switch: int = 0
    _rows: list[list[Columns]] = field(default_factory=list)
    _visits: list[list[Columns]] = field(default_factory=list)
    _shown: list[list[Columns]] = field(default_factory=list)

    def add(self, log: DayLog, *, counts: bool) -> None:
        self._rows += [_acts(each) for each in log.chunks if each.event_type in INTERACTION_TYPES]
        if counts:
            truth = log.truth
            session = _session(truth.shopper, truth.device, truth.visit)
            columns = (truth.shopper, session, truth.started, truth.pages, truth.reason)
            self._visits.append([np.asarray(each, np.int64) for each in columns])
            lists = (each for each in log.chunks if each.event_type == VIEW_ITEM_LIST)
            self._shown += [_acts(each) for each in lists if (each.placement >= 0).all()]

    def arm(
        self, name: str, request: LoopRequest, shop: Shop, pipeline: PipelineRecommender
    ) -> Arm:
        trail = self._trail()
        people = len(shop.shoppers.is_bot)
        journeys = journeys_of(trail)
        some = np.flatnonzero(journeys.steps > 0)
        began = trail.ts[journeys.step_rows[journeys.first_step[some]]]
        some = some[began >= self.switch]
        who = trail.shopper_idx[journeys.purchase_row[some]]
        steps = journeys.steps[some].astype(np.float64)
        first = np.full(people, np.nan)
        first[who[::-1]] = steps[::-1]  # the last that is written is the earliest
        visits = self._lengths(trail, people, request.horizon)
        return Arm(
            name,
            journeys=_totals(who, people),
            steps=_totals(who, people, steps),
            first_steps=first,
            compared=_by_shopper(pipeline.compared, shop.identity),
            changed=_by_shopper(pipeline.changed, shop.identity),
            asked=pipeline.asked,
            **visits,
            **self._fatigue(trail, people),
        ).of(~shop.shoppers.is_bot)

    def _fatigue(self, trail: Trail, people: int) -> dict[str, Float64Array]:
        late = trail.ts >= self.switch
        dismissed = late & (trail.event_code == EVENT_CODES[DISMISS])
        tallied = {"dismissals": _totals(trail.shopper_idx[dismissed], people)}
        if not self._shown:
            nothing = np.zeros(people)
            return tallied | {"shown": nothing, "repeated": nothing.copy()}
        shopper, _, item, _, ts = (np.concatenate(each) for each in zip(*self._shown, strict=True))
        width = int(max(item.max(), trail.item_idx.max())) + 1
        order = np.lexsort((ts, item, shopper))
        shopper, pair, ts = shopper[order], (shopper * width + item)[order], ts[order]
        touched = trail.shopper_idx[late].astype(np.int64) * width + trail.item_idx[late]
        ignored, _, _ = counted(pair, ts, touched, trail.ts[late])
        often = ignored >= OFTEN_IGNORED
        tallied["shown"] = _totals(shopper, people)
        return tallied | {"repeated": _totals(shopper[often], people)}

    def _trail(self) -> Trail:
        shopper, session, item, code, ts = (
            np.concatenate(column) for column in zip(*self._rows, strict=True)
        )
        order = np.lexsort((item, code, ts, shopper))
        return Trail(*(each[order] for each in (shopper, session, item, code, ts)))

    def _lengths(self, trail: Trail, people: int, horizon: int) -> dict[str, Float64Array]:
        who, session, started, pages, reason = (
            np.concatenate(column) for column in zip(*self._visits, strict=True)
        )
        order = np.argsort(session)
        place = np.searchsorted(session[order], trail.session).clip(max=len(session) - 1)
        inside = session[order][place] == trail.session
        last = started.copy()
        np.maximum.at(last, order[place[inside]], trail.ts[inside])
        found = visit_lengths(trail, who, started, last)
        width = horizon + 1
        cell = who * width + np.minimum(found.steps, horizon)
        bought, left = (
            _totals(cell[chosen], people * width).reshape(people, width)
            for chosen in (found.is_bought, ~found.is_bought)
        )
        return {
            "visits": _totals(who, people),
            "buying_visits": _totals(who[found.is_bought], people),
            "pages": _totals(who, people, pages),
            "taken": _totals(who, people, found.steps),
            "tired": _totals(who[reason == Exit.TIRED], people),
            "bought": bought,
            "left": left,
        }


def _by_shopper(counts: Mapping[str, int], identity: Identity) -> Float64Array:
    """Counts by visitor id, summed over the devices of each shopper."""
    devices = [[counts.get(each, 0) for each in visitors] for visitors in identity.visitors]
    counted: Float64Array = np.asarray(devices, np.float64).sum(axis=0)
    return counted


def _acts(chunk: EventChunk) -> list[Columns]:
    """Shopper, session, item, event code and time of each event and item."""
    rows, columns = np.nonzero(chunk.items >= 0)
    session = _session(chunk.shopper, chunk.device, chunk.visit)
    code = np.full(len(rows), EVENT_CODES[chunk.event_type])
    found = (chunk.shopper[rows], session[rows], chunk.items[rows, columns], code, chunk.ts[rows])
    return [np.asarray(each, np.int64) for each in found]


def _session(shopper: IntArray, device: IntArray, visit: IntArray) -> Int64Array:
    return (2 * shopper.astype(np.int64) + device) * _VISITS_OF_ONE + visit


def _totals(
    place: IntArray, size: int, values: npt.NDArray[np.number[Any]] | None = None
) -> Float64Array:
    return np.bincount(place, values, size).astype(np.float64)
