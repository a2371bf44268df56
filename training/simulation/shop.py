"""The made-up shop: opens day by day, lets its shoppers in, and gives what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta

import numpy as np

from recommender.errors import InvalidInputError
from recommender.terms import Int32Array
from training.simulation.aftermath import Aftermath, AftermathSpec, run_out_days
from training.simulation.batch import SessionBatch
from training.simulation.behaviour import Behaviour, Draw
from training.simulation.bots import BotSpec, crawl
from training.simulation.catalogue import Catalogue, CatalogueSpec, build_catalogue
from training.simulation.chance import uniform
from training.simulation.demand import (
    DemandSpec,
    Wants,
    note_purchases,
    settle_wants,
    start_times,
    stock_cupboards,
    visitors_of_day,
)
from training.simulation.display import Display
from training.simulation.identity import identify
from training.simulation.purchase import Orders, Till
from training.simulation.recommenders import Recommender
from training.simulation.recorder import EventChunk, Recorder
from training.simulation.sessions import Visits
from training.simulation.shoppers import ShopperSpec, build_shoppers
from training.simulation.stock import Stock, StockSpec, arrange
from training.simulation.visits import (
    Plan,
    SessionTruth,
    begin,
    close,
    truth_at_start,
    truth_of,
    visit_keys,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_AT_ONCE = 8192
"""Visits that advance together; bounds memory and keeps the arrays in the processor's cache."""
SALES_DECAY = 0.9
"""Factor by which yesterday's sales count less in the best-seller lists."""


@dataclass(frozen=True, slots=True)
class ShopSpec:
    """Everything that makes a run what it is, but for the seed.

    Parameters
    ----------
    start
        First midnight, UTC-aware.
    days
        Length of the run, ≥ 1.
    """

    start: datetime
    days: int = 30
    catalogue: CatalogueSpec = field(default_factory=CatalogueSpec)
    shoppers: ShopperSpec = field(default_factory=ShopperSpec)
    demand: DemandSpec = field(default_factory=DemandSpec)
    stock: StockSpec = field(default_factory=StockSpec)
    behaviour: Behaviour = field(default_factory=Behaviour)
    bots: BotSpec = field(default_factory=BotSpec)
    aftermath: AftermathSpec = field(default_factory=AftermathSpec)

    def __post_init__(self) -> None:
        if self.start.tzinfo is None:
            raise InvalidInputError(f"start={self.start} has no time zone; pass an aware datetime")
        if self.days < 1:
            raise InvalidInputError(f"days={self.days}; accepted: 1 or more")


@dataclass(frozen=True, slots=True)
class DayLog:
    """What happened in the visits that began on one day.

    Parameters
    ----------
    day
        0-based.
    midnight
        Its beginning, microseconds since the epoch.
    chunks
        Events; those of one visit are in the order of happening. Visits run past midnight.
    truth
        One row per visit, bots included.
    orders
        What was sold.
    on_sale
        bool (M,): in stock when the day began.
    """

    day: int
    midnight: int
    chunks: list[EventChunk]
    truth: SessionTruth
    orders: list[Orders]
    on_sale: np.ndarray


class Shop:
    """A shop with its shoppers.

    Parameters
    ----------
    spec
        What shop.
    rng
        Source of the catalogue, the stock and the shoppers' keys; the same state gives the same
        run.
    recommender
        Fills the recommendation lists; None: the shop's static default lists.
    listener
        Told of every chunk of events before the next recommendation is asked for.
    """

    def __init__(
        self,
        spec: ShopSpec,
        rng: np.random.Generator,
        recommender: Recommender | None = None,
        listener: Callable[[EventChunk], None] | None = None,
    ) -> None:
        catalogue_rng, stock_rng, shopper_rng = rng.spawn(3)
        self.spec = spec
        self.catalogue: Catalogue = build_catalogue(spec.catalogue, spec.days, catalogue_rng)
        self.shoppers = build_shoppers(spec.shoppers, self.catalogue, spec.days, shopper_rng)
        stock_cupboards(self.shoppers, self.catalogue)
        self.identity = identify(self.shoppers)
        orders_per_day = 0.08 * spec.shoppers.shoppers / spec.days
        self.stock = Stock(self.catalogue, spec.stock, orders_per_day, stock_rng)
        self.running: SessionBatch | None = None
        self._recorder = Recorder(listener)
        self._till = Till(self.catalogue, spec.behaviour, self.stock, self._recorder)
        self.display = Display(
            self.catalogue, spec.behaviour, self.identity, recommender, self._set_running
        )
        self._aftermath = Aftermath(self.catalogue, spec.aftermath)
        self._sold = np.zeros(len(self.catalogue))
        self._visits = 0

    def days(self) -> Iterator[DayLog]:
        """Run the shop; once."""
        for day in range(self.spec.days):
            yield self._open(day)

    def _set_running(self, batch: SessionBatch) -> None:
        self.running = batch

    def _open(self, day: int) -> DayLog:
        moment = self.spec.start + timedelta(days=day)
        midnight = (moment - _EPOCH) // timedelta(microseconds=1)
        self.stock.open_day(day)
        on_sale = self.stock.on_sale[:-1].copy()
        shelf = arrange(self.catalogue, self.stock, self._sold, day)
        visits = Visits(
            self.catalogue,
            self.spec.behaviour,
            self.display,
            self._recorder,
            self.stock,
            self._till,
            shelf,
        )
        first = visitors_of_day(self.shoppers, self.spec.demand, day, moment.weekday())
        truths = [self._wave(visits, first, moment, midnight, day)]
        again = first[self._comes_again(first)]
        truths.append(self._wave(visits, again, moment, midnight, day))
        crawls = crawl(self.shoppers, shelf, self.spec.bots, (day, midnight, self._visits))
        self._visits += len(crawls.truth)
        self._recorder.add(crawls.chunk)
        for chunk in self._aftermath.of_day(day):
            self._recorder.add(chunk)
        orders = self._till.drain()
        self._settle(orders, midnight, day)
        truth = _stacked([*truths, crawls.truth])
        return DayLog(day, midnight, self._recorder.drain(), truth, orders, on_sale)

    def _comes_again(self, visitors: Int32Array) -> np.ndarray:
        keys = visit_keys(self.shoppers, visitors)
        return uniform(keys, Draw.SECOND_VISIT) < self.spec.demand.second_visit

    def _wave(
        self, visits: Visits, visitors: Int32Array, moment: datetime, midnight: int, day: int
    ) -> SessionTruth:
        """Run one visit of each of the visitors from beginning to end."""
        keys = visit_keys(self.shoppers, visitors)
        demand = self.spec.demand
        wants = settle_wants(
            self.shoppers, visitors, keys, demand, self.catalogue, (day, moment.month)
        )
        started = start_times(keys, demand, midnight)
        truths = []
        for first in range(0, max(len(visitors), 1), MOST_AT_ONCE):
            rows = slice(first, first + MOST_AT_ONCE)
            plan = Plan(visitors[rows], keys[rows], started[rows], self._visits)
            self._visits += len(plan.shoppers)
            truths.append(self._run(visits, plan, wants.rows(rows), day))
        return _stacked(truths)

    def _run(self, visits: Visits, plan: Plan, wants: Wants, day: int) -> SessionTruth:
        batch = begin(plan, wants, self.shoppers, self.catalogue, visits.shelf, self.spec.behaviour)
        start = truth_at_start(batch, day)
        ended = []
        already = len(self._till.orders)
        while len(batch):
            visits.step(batch)
            if not batch.alive.all():
                ended.append(batch.take(~batch.alive))
                batch = batch.take(batch.alive)
        return self._close(ended, start, self._till.orders[already:])

    def _close(
        self, ended: list[SessionBatch], start: SessionTruth, orders: list[Orders]
    ) -> SessionTruth:
        bought = np.concatenate([np.empty(0, np.int64), *(one.number for one in orders)])
        truths = []
        for batch in ended:
            close(batch, self.shoppers, np.isin(batch.number, bought))
            at_start = start.take(batch.number - start.number[0])
            truths.append(truth_of(batch, at_start))
        return _stacked([*truths, start.take(np.empty(0, np.int64))])

    def _settle(self, orders: list[Orders], midnight: int, day: int) -> None:
        """After closing: best-seller counts, refunds to come, consumables to run out."""
        self._sold *= SALES_DECAY
        for one in orders:
            sold = one.quantity > 0
            np.add.at(self._sold, one.items[sold], one.quantity[sold])
            np.add.at(self.shoppers.orders, one.shopper, 1)
            self._aftermath.plan(one, self.shoppers, midnight, day)
            rows, columns, due = run_out_days(one, self.catalogue, self.shoppers, day)
            note_purchases(self.shoppers, one.shopper[rows], one.items[rows, columns], due)


def _stacked(parts: list[SessionTruth]) -> SessionTruth:
    """One table of several, ordered by number."""
    columns = {
        one.name: np.concatenate([getattr(part, one.name) for part in parts])
        for one in fields(SessionTruth)
    }
    whole = SessionTruth(**columns)
    return whole.take(np.argsort(whole.number, kind="stable"))
