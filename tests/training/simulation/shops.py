"""Small shops to run, and what happened in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import polars as pl

from recommender.bundle_manifest import BundleInfo, SourceInfo
from recommender.catalogue import CatalogueItem, catalogue_arrays
from tests.bundles import shop_info
from tests.paces import pace_arrays
from training.simulation.behaviour import Behaviour
from training.simulation.catalogue import CatalogueSpec
from training.simulation.emit import orders_frame, sessions_frame
from training.simulation.flat import Flattener
from training.simulation.recommenders import Recommender
from training.simulation.recorder import EventChunk
from training.simulation.shop import DayLog, Shop, ShopSpec
from training.simulation.shoppers import ShopperSpec
from training.simulation.stock import StockSpec

START = datetime(2026, 9, 1, tzinfo=UTC)


def spec_of(shoppers: int = 1500, days: int = 14, items: int = 300, **more: object) -> ShopSpec:
    spec = ShopSpec(
        start=START,
        days=days,
        catalogue=CatalogueSpec(items=items),
        shoppers=ShopperSpec(shoppers=shoppers),
    )
    return replace(spec, **more)


# Nearly everybody wants to buy, so that few visits say much about the way to a purchase.
EAGER = Behaviour(willing=np.full(4, 0.9))
PLENTY = StockSpec(cover_days=1e6, thin_share=0.0)


def arrays_of_shop(spec: ShopSpec, seed: int) -> tuple[dict[str, np.ndarray], BundleInfo]:
    """A model of the shop: what is popular, what goes back to whom, and at which pace visits go."""
    catalogue = Shop(spec, np.random.default_rng(seed)).catalogue
    items = [
        CatalogueItem(item_id, "", catalogue.leaves[leaf].path, None, 1.0, is_available=True)
        for item_id, leaf in zip(catalogue.item_ids, catalogue.leaf, strict=True)
    ]
    items.sort(key=lambda item: item.item_id)
    arrays = catalogue_arrays(items, np.linspace(2, 1, len(items)).astype(np.float32))
    names = ("popularity", "popular_in_category", "returns")
    info = shop_info(dict.fromkeys(names, 1.0), sources={name: SourceInfo() for name in names})
    return arrays | pace_arrays(), info


@dataclass
class Ran:
    """A run that is over."""

    shop: Shop
    logs: list[DayLog]
    visits: pl.DataFrame = field(init=False)
    orders: pl.DataFrame = field(init=False)
    rows: pl.DataFrame = field(init=False)

    def __post_init__(self) -> None:
        self.visits = sessions_frame([log.truth for log in self.logs], self.shop)
        self.orders = orders_frame([one for log in self.logs for one in log.orders], self.shop)
        flattener = Flattener(self.shop.catalogue, self.shop.identity)
        self.rows = pl.concat([flattener.frame(log.chunks) for log in self.logs])

    @property
    def people(self) -> pl.DataFrame:
        return self.visits.filter(~pl.col("is_bot"))

    def of_type(self, event_type: str) -> pl.DataFrame:
        return self.rows.filter(pl.col("event_type") == event_type)

    def count(self) -> Counter[str]:
        return Counter(
            {
                kind: sum(len(c) for log in self.logs for c in log.chunks if c.event_type == kind)
                for kind in {c.event_type for log in self.logs for c in log.chunks}
            }
        )


def run_shop(
    spec: ShopSpec,
    seed: int = 7,
    recommender: Recommender | None = None,
    listener: Callable[[EventChunk], None] | None = None,
) -> Ran:
    shop = Shop(spec, np.random.default_rng(seed), recommender, listener)
    return Ran(shop, list(shop.days()))
