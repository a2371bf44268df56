"""One whole run of the simulator: shop, emitter, truth, figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

from recommender.errors import InvalidInputError
from training.simulation.catalogue import CatalogueSpec
from training.simulation.emit import (
    Emitter,
    JsonlEmitter,
    ParquetEmitter,
    orders_frame,
    sessions_frame,
    shoppers_frame,
    write_catalogue,
)
from training.simulation.encode import Encoder
from training.simulation.figures import rounded
from training.simulation.flat import Flattener
from training.simulation.reference import real_figures
from training.simulation.report import Comparison, Tally, compare
from training.simulation.service import Connection, EventSender, ServiceRecommender
from training.simulation.shop import DayLog, Shop, ShopSpec
from training.simulation.shoppers import ShopperSpec

OUTPUTS = ("jsonl", "parquet")
OLDEST_LIVE_DAYS = 7
"""A service refuses events older than this."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to simulate, and where to put it.

    Parameters
    ----------
    out
        Folder; made if it does not exist. Files of an earlier run in it are refused, not mixed.
    seed
        Same seed and sizes: same bytes.
    output
        ``"jsonl"`` (one JSON event a line) or ``"parquet"`` (one row per event and item, for big
        volumes).
    """

    out: Path
    start: datetime
    shoppers: int = 5000
    days: int = 30
    items: int = 1500
    seed: int = 0
    output: str = "jsonl"

    def __post_init__(self) -> None:
        if self.output not in OUTPUTS:
            raise InvalidInputError(f"output={self.output!r}; accepted: {', '.join(OUTPUTS)}")
        if self.seed < 0:
            raise InvalidInputError(f"seed={self.seed}; accepted: 0 or more")

    @property
    def spec(self) -> ShopSpec:
        """The shop that is asked for."""
        return ShopSpec(
            start=self.start,
            days=self.days,
            catalogue=CatalogueSpec(items=self.items),
            shoppers=ShopperSpec(shoppers=self.shoppers),
        )


@dataclass(slots=True)
class RunResult:
    """What a run gave.

    Parameters
    ----------
    events, visits
        Counts; `by_type` splits the events.
    figures
        See `training.simulation.figures`.
    comparison
        Beside the real logs, empty when none were given.
    delivery
        What a service said, empty for a run into files only.
    """

    events: int
    visits: int
    by_type: dict[str, int]
    figures: dict[str, float | None]
    comparison: list[Comparison] = field(default_factory=list)
    delivery: dict[str, object] = field(default_factory=dict)


def run(
    request: RunRequest,
    compare_with: Path | None = None,
    on_day: Callable[[DayLog], None] = lambda _: None,
) -> RunResult:
    """Simulate into files.

    Parameters
    ----------
    compare_with
        Folder of the real data sets, see `training.simulation.reference.REAL_LOGS`.
    on_day
        Told of every day that was written.
    """
    shop = Shop(request.spec, np.random.default_rng(request.seed))
    return _drive(shop, request, compare_with, on_day)


def run_against(
    request: RunRequest,
    connection: Connection,
    compare_with: Path | None = None,
    on_day: Callable[[DayLog], None] = lambda _: None,
) -> RunResult:
    """Simulate against a running service, and into files as well.

    Raises
    ------
    InvalidInputError
        The run is longer than the service takes events back in time.
    """
    if request.days > OLDEST_LIVE_DAYS:
        raise InvalidInputError(
            f"days={request.days} against a service; accepted: 1 to {OLDEST_LIVE_DAYS}, "
            "because it refuses older events"
        )
    sender = EventSender(connection)
    recommender = ServiceRecommender(connection, sender)
    shop = Shop(request.spec, np.random.default_rng(request.seed), recommender, sender)
    sender.encoder = Encoder(shop.catalogue, shop.identity)

    def deliver(log: DayLog) -> None:
        sender.flush()
        on_day(log)

    result = _drive(shop, request, compare_with, deliver)
    result.delivery = {
        "accepted": sender.accepted,
        "duplicates": sender.duplicates,
        "rejected": dict(sender.rejected),
        "answers": recommender.asked,
        "unknown_items": shop.display.unknown_items,
    }
    return result


def live_start(now: datetime, days: int) -> datetime:
    """Give the first midnight of a run of `days` days that is over at `now`."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)


def _drive(
    shop: Shop, request: RunRequest, compare_with: Path | None, on_day: Callable[[DayLog], None]
) -> RunResult:
    # First, so that a missing data set stops the run before it has begun.
    real = {} if compare_with is None else real_figures(compare_with, request.days)
    _prepare(request.out)
    emitter = _emitter(shop, request)
    tally, truths, orders = Tally(), [], []
    with closing(emitter):
        for log in shop.days():
            emitter.write(log)
            tally.add(log)
            truths.append(log.truth)
            orders.extend(log.orders)
            on_day(log)
    write_catalogue(request.out / "catalogue.jsonl", shop.catalogue, shop.stock.on_sale[:-1])
    truth = request.out / "truth"
    truth.mkdir()
    sessions_frame(truths, shop).write_parquet(truth / "sessions.parquet")
    orders_frame(orders, shop).write_parquet(truth / "orders.parquet")
    shoppers_frame(shop).write_parquet(truth / "shoppers.parquet")
    figures = tally.figures(request.days)
    beside = compare(figures, real)
    result = RunResult(
        sum(tally.events.values()), tally.visits, dict(tally.events), figures, beside
    )
    _save_report(request, result)
    return result


def _prepare(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    present = [
        name
        for name in ("events.jsonl", "events", "catalogue.jsonl", "truth", "report.json")
        if (out / name).exists()
    ]
    if present:
        raise InvalidInputError(
            f"{out} already holds {present[0]}; accepted: a new or empty folder for --out"
        )


def _emitter(shop: Shop, request: RunRequest) -> Emitter:
    if request.output == "parquet":
        return ParquetEmitter(request.out / "events", Flattener(shop.catalogue, shop.identity))
    file = (request.out / "events.jsonl").open("wb")
    return JsonlEmitter(file, Encoder(shop.catalogue, shop.identity))


def report_of(request: RunRequest, result: RunResult) -> Mapping[str, object]:
    """Give the run and its figures as plain values; nothing in it depends on when it ran."""
    return {
        "shoppers": request.shoppers,
        "days": request.days,
        "items": request.items,
        "seed": request.seed,
        "start": request.start.isoformat(),
        "visits": result.visits,
        "events": result.events,
        "by_type": dict(sorted(result.by_type.items())),
        "figures": result.figures,
        "beside": {
            one.figure: {
                "real": rounded(one.real),
                "low": one.low,
                "high": one.high,
                "within": one.within,
            }
            for one in result.comparison
        },
    }


def _save_report(request: RunRequest, result: RunResult) -> None:
    report = msgspec.json.format(msgspec.json.encode(report_of(request, result)), indent=2)
    (request.out / "report.json").write_bytes(report + b"\n")
