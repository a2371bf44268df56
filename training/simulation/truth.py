"""What only the simulator knows about the visits under way: the yardstick for what is learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from recommender.errors import InvalidInputError
from recommender.terms import Float64Array, Int32Array
from training.simulation.batch import SessionBatch
from training.simulation.behaviour import Pace
from training.simulation.recommenders import PageContext
from training.simulation.shop import Shop
from training.simulation.stock import SLATE
from training.simulation.utility import (
    attraction,
    cart_probability,
    cascade,
    examination,
    ignored,
    match,
)


@dataclass(frozen=True, slots=True)
class SlateReward:
    """What is to be expected of a list of recommendations.

    Parameters
    ----------
    click
        float64 (k,): probability that this place is the one clicked.
    cart
        Probability that the click leads to an item that goes into the cart at once.
    """

    click: Float64Array
    cart: float

    @property
    def any_click(self) -> float:
        """Probability of any click."""
        return float(self.click.sum())


@dataclass(slots=True)
class Truth:
    """Answers about visits that are at a page right now, by session id.

    Ask from within a recommender: between two pages there is nothing to ask about.
    """

    shop: Shop
    _of: SessionBatch | None = None
    _row: dict[str, int] = field(default_factory=dict)
    _number: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._number.update({one: idx for idx, one in enumerate(self.shop.catalogue.item_ids)})

    def pace(self, session_id: str) -> str:
        """Give the true pace of a visit: hurried, focused, browsing or returning."""
        return Pace(int(self._visit(session_id).pace[0])).name.lower()

    def need_category(self, session_id: str) -> str:
        """Give the category of what is wanted now."""
        return self.shop.catalogue.leaves[int(self._visit(session_id).need_leaf[0])].path

    def match(self, session_id: str, item_ids: Sequence[str]) -> Float64Array:
        """Give the true match of items with what the shopper wants now, float64 (k,) in 0..1."""
        visit, items = self._visit(session_id), self._items(item_ids)
        fit = match(visit, items, self.shop.catalogue, self.shop.spec.behaviour)
        return np.asarray(fit[0], np.float64)

    def reward(self, session_id: str, item_ids: Sequence[str]) -> SlateReward:
        """Give the expected reward of showing these items, in this order, on the present page."""
        visit, items = self._visit(session_id), self._items(item_ids)
        behaviour, catalogue = self.shop.spec.behaviour, self.shop.catalogue
        on_sale = self.shop.stock.on_sale[items]
        fit = match(visit, items, catalogue, behaviour)
        wanted = attraction(visit, items, fit, on_sale, behaviour)
        wanted *= np.exp(-behaviour.fatigue * ignored(visit, items))
        position = np.arange(1, items.shape[1] + 1, dtype=np.int32)
        in_listing = np.zeros(items.shape[1], np.bool_)
        click = cascade(examination(visit, position, in_listing, behaviour) * wanted)
        cart = click * cart_probability(visit, fit, behaviour) * on_sale
        return SlateReward(click[0], float(cart.sum()))

    def best(self, session_id: str, n: int) -> list[str]:
        """Give the `n` items that the shopper is likeliest to click and buy now, best first."""
        visit = self._visit(session_id)
        catalogue = self.shop.catalogue
        in_leaf = catalogue.leaf == visit.need_leaf[0]
        items = np.flatnonzero(in_leaf & self.shop.stock.on_sale[:-1]).astype(np.int32)[None, :]
        behaviour = self.shop.spec.behaviour
        fit = match(visit, items, catalogue, behaviour)
        wanted = attraction(visit, items, fit, np.ones(items.shape, np.bool_), behaviour)
        wanted *= np.exp(-behaviour.fatigue * ignored(visit, items))
        wanted *= cart_probability(visit, fit, behaviour)
        order = np.argsort(-wanted[0], kind="stable")[:n]
        return [catalogue.item_ids[one] for one in items[0, order]]

    def _visit(self, session_id: str) -> SessionBatch:
        running = self.shop.running
        if running is not self._of:
            self._of = running
            self._row = {} if running is None else self._rows(running)
        if running is None or session_id not in self._row:
            raise InvalidInputError(
                f"session {session_id!r} is not at a page now; accepted: that of the page context"
            )
        return running.take(np.array([self._row[session_id]]))

    def _rows(self, running: SessionBatch) -> dict[str, int]:
        visits = zip(
            running.shopper.tolist(), running.device.tolist(), running.visit.tolist(), strict=True
        )
        return {self.shop.identity.session_id(*visit): row for row, visit in enumerate(visits)}

    def _items(self, item_ids: Sequence[str]) -> Int32Array:
        unknown = [one for one in item_ids if one not in self._number]
        if unknown:
            raise InvalidInputError(f"item {unknown[0]!r} is not in the catalogue of this shop")
        return np.array([[self._number[one] for one in item_ids]], np.int32)


@dataclass(slots=True)
class OracleRecommender:
    """Knows what everybody wants: the upper end of what recommending can do.

    Parameters
    ----------
    truth
        Set after the shop was built with this recommender.
    """

    truth: Truth | None = None

    def __call__(self, context: PageContext) -> Sequence[str]:
        """Give the best items of the needed category."""
        if self.truth is None:
            raise InvalidInputError("the oracle has no truth yet; set OracleRecommender.truth")
        return self.truth.best(context.session_id, min(context.limit, SLATE))
