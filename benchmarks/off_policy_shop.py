"""Off-policy estimates against what really happens in the simulated shop.

In each run a small shop of its own opens for a day without lists, and then for one more. On that
second day the first list of each shopper is filled by the pipeline that serves: once by a model
that leaves it to chance and logs it, and once, in the same shop with the same shoppers, by the
policy that is asked about. All later lists are empty in both. Draws of the simulator are by address
(see `training.simulation.chance`), so each shopper would do the same with the same list; what the
second run earns is therefore the truth for these shoppers, without sampling error, and only what
logging left to chance stands between it and the estimate.

Two policies are asked about: ``served`` (the model that logs, with nothing left to chance) and
``other`` (one that puts the page's category first). Earned are the items of a list that are taken
up, slot by slot, and of the list as one choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np

from recommender.bundle import ModelBundle, bundle_of
from recommender.bundle_manifest import BundleManifest
from recommender.draws import seed_of
from recommender.exploration import ExploringPolicy
from recommender.explore_settings import ExploreSettings
from recommender.pipeline import recommend
from recommender.placements import Placement
from recommender.policy import TopPolicy
from recommender.slate import Slate
from recommender.terms import SELECT_ITEM, Float64Array
from tests.training.simulation.shops import PLENTY, arrays_of_shop
from training.evaluation.off_policy import LoggedChoices
from training.evaluation.off_policy_slates import LoggedSlates
from training.simulation.catalogue import CatalogueSpec
from training.simulation.demand import DemandSpec
from training.simulation.encode import Encoder
from training.simulation.pipeline import Answering, PipelineRecommender
from training.simulation.recommenders import PageContext, Suggestion
from training.simulation.recorder import EventChunk
from training.simulation.shop import Shop, ShopSpec
from training.simulation.shoppers import ShopperSpec

DAYS: Final = 2
SLOTS: Final = 2
SERVED: Final = {"popularity": 1.0, "popular_in_category": 0.4}
OTHER: Final = {"popularity": 0.2, "popular_in_category": 1.0}
TARGETS: Final = {"served": SERVED, "other": OTHER}
CHANCE: Final = ExploreSettings(temperature=3.0, gap=10.0, reach=2)
PLACE: Final = Placement(
    "list",
    sources=tuple(SERVED),
    candidates=2,
    limit=SLOTS,
    ladder=("popular_in_category", "popular"),
    kinds=("item",),
    explore=CHANCE,
)
_EXPLORING, _TOP = ExploringPolicy(), TopPolicy()


def small_shop(shoppers: int) -> ShopSpec:
    """A shop in which most shoppers come every day and nothing is ever sold out."""
    return ShopSpec(
        start=datetime(2026, 9, 1, tzinfo=UTC),
        days=DAYS,
        catalogue=CatalogueSpec(items=60),
        shoppers=ShopperSpec(shoppers=shoppers),
        demand=replace(DemandSpec(), weekday=(8.0,) * 7),
        stock=PLENTY,
    )


def models_of(spec: ShopSpec, seed: int) -> dict[str, ModelBundle]:
    """Models of the shop that weigh its two sources differently, by target."""
    arrays, info = arrays_of_shop(spec, seed)
    return {
        name: bundle_of(arrays, BundleManifest.describe(replace(info, blend=blend), {}))
        for name, blend in TARGETS.items()
    }


@dataclass(frozen=True, slots=True)
class Given:
    """One list and its question, with the lists that the targets would have shown."""

    name: str
    context: PageContext
    slate: Slate
    targets: Mapping[str, tuple[str, ...]]

    @property
    def items(self) -> list[str]:
        """Item ids of the list."""
        return [item.item_id for item in self.slate.items]


@dataclass(slots=True)
class FirstLists:
    """Fills each shopper's first list, and hears what comes of it.

    Parameters
    ----------
    model
        It fills the lists.
    targets
        Models that are asked the same, by name.
    shopper
        Visitor id → number of the shopper.
    is_exploring
        What the placement leaves to chance is left to it.
    """

    pipeline: PipelineRecommender
    model: ModelBundle
    targets: Mapping[str, ModelBundle]
    shopper: Mapping[str, int]
    seed: int
    is_exploring: bool
    given: list[Given] = field(default_factory=list)
    taken_up: set[tuple[str, str]] = field(default_factory=set)
    _seen: set[int] = field(default_factory=set)

    def __call__(self, context: PageContext) -> Suggestion:
        """Fill a list; an empty one for whoever had one before."""
        who = self.shopper[context.visitor_id]
        if who in self._seen:
            return Suggestion(())
        self._seen.add(who)
        query = self.pipeline.query(context, PLACE).but(limit=SLOTS)
        seed = seed_of(f"{self.seed}/{context.session_id}") if self.is_exploring else None
        policy = _EXPLORING if self.is_exploring else _TOP
        slate = recommend(query.but(seed=seed), self.model, PLACE, policy)
        targets = {
            name: tuple(item.item_id for item in recommend(query, model, PLACE, _TOP).items)
            for name, model in self.targets.items()
        }
        given = Given(f"r{len(self.given)}", context, slate, targets)
        self.given.append(given)
        return Suggestion(given.items, given.name)

    def hear(self, chunk: EventChunk) -> None:
        """Note what is taken up."""
        if chunk.event_type != SELECT_ITEM or chunk.recommendation_id is None:
            return
        ids = self.pipeline.encoder.catalogue.item_ids  # type: ignore[union-attr]
        for name, row in zip(chunk.recommendation_id, chunk.items, strict=True):
            if name is not None:
                self.taken_up.update((name, ids[item]) for item in row if item >= 0)

    def clicks(self) -> Float64Array:
        """What each slot of each list earned, float64 (n, SLOTS)."""
        earned = np.zeros((len(self.given), SLOTS))
        for row, each in enumerate(self.given):
            for slot, item in enumerate(each.items):
                earned[row, slot] = (each.name, item) in self.taken_up
        return earned


def last_day(
    spec: ShopSpec,
    seed: int,
    models: tuple[ModelBundle, Mapping[str, ModelBundle]],
    *,
    is_exploring: bool,
) -> FirstLists:
    """Run the shop; a model fills the first lists of its last day."""
    own, targets = models
    pipeline = PipelineRecommender(Answering("own", own, {PLACE.name: PLACE}))
    heard: list[FirstLists] = []

    def hear(chunk: EventChunk) -> None:
        pipeline.hear(chunk)
        for each in heard:
            each.hear(chunk)

    shop = Shop(spec, np.random.default_rng(seed), None, hear)
    pipeline.encoder = Encoder(shop.catalogue, shop.identity)
    shopper = {
        visitor: number
        for device in shop.identity.visitors
        for number, visitor in enumerate(device)
    }
    lists = FirstLists(pipeline, own, targets, shopper, seed, is_exploring)
    for log in shop.days():
        if log.day + 2 == spec.days:
            heard.append(lists)
            shop.display.recommender = lists
    return lists


@dataclass(frozen=True, slots=True)
class Asked:
    """What a log tells of one policy, and what it really earns per list."""

    slates: LoggedSlates
    choices: LoggedChoices
    truth: float


def run_world(seed: int, shoppers: int) -> dict[str, Asked]:
    """One shop: what is logged there, and what each policy asked about really earns.

    Raises
    ------
    ValueError
        The shoppers did not ask the same in both runs, so that there is no truth to be had.
    """
    spec = small_shop(shoppers)
    models = models_of(spec, seed)
    log = last_day(spec, seed, (models["served"], models), is_exploring=True)
    asked = {}
    for name, model in models.items():
        truth = last_day(spec, seed, (model, {}), is_exploring=False)
        if [each.context for each in truth.given] != [each.context for each in log.given]:
            raise ValueError(f"seed {seed}: shoppers ask other things when {name} answers")
        asked[name] = _asked(log, name, truth)
    return asked


def _asked(log: FirstLists, name: str, truth: FirstLists) -> Asked:
    n = len(log.given)
    p, t, outside = np.ones((n, SLOTS)), np.ones((n, SLOTS)), np.zeros(n)
    for row, each in enumerate(log.given):
        wanted = each.targets[name]
        p[row, : len(each.items)] = [item.propensity for item in each.slate.items]
        t[row, : len(each.items)] = np.equal(each.items, wanted)
        outside[row] = not set(wanted) <= {item for item, _ in each.slate.candidates}
    slates = LoggedSlates(log.clicks(), p, t, outside)
    return Asked(slates, _choices(log, slates), float(truth.clicks().sum(axis=1).mean()))


def _choices(log: FirstLists, slates: LoggedSlates) -> LoggedChoices:
    """The list as one choice.

    The model of the reward knows the page and nothing of the list: wrong, and no harm to DR.
    """
    earned = slates.total
    pages = np.array([each.context.placement for each in log.given])
    predicted = np.zeros(len(earned))
    for page in np.unique(pages):
        predicted[pages == page] = earned[pages == page].mean()
    propensity, target = slates.propensity.prod(axis=1), slates.target.prod(axis=1)
    return LoggedChoices(earned, propensity, target, predicted, predicted, slates.outside)
