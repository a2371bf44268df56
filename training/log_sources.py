"""What is learnt from single events, searches and the catalogue.

Trend, new items, early adopters, content, buy again, the usual time between purchases, what ignored
items are worth, how likely items are taken up; pairs and ways. None of it says anything about a
shopper: the arrays are about items and the shop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recommender import acceptance
from recommender.bundle_manifest import SourceInfo
from recommender.impression_discount import ARRAY
from recommender.terms import Int32Array
from training.dataset import Dataset
from training.engine import EventWindow, Period
from training.known_events import KnownEvents, known_events
from training.known_exposures import known_exposures, shown_items
from training.models.acceptance import ShownItems, learn_acceptance
from training.models.buy_again import demand, repeat_intervals, rest_days
from training.models.content import content_neighbours
from training.models.courses import learn_courses
from training.models.early_adopters import early_adopters_picks
from training.models.embedding import embed
from training.models.encoder import learn_encoder
from training.models.impression_discount import Exposures, learn_discount
from training.models.item_stats import item_stats
from training.models.meetings import pair_lifts
from training.models.moments import Searches
from training.models.navigation import learn_ways
from training.models.new_items import new_items
from training.models.purchase_interval import usual_interval
from training.models.reach import reach_params
from training.models.shortlist import Shortlist
from training.models.stranger_popularity import stranger_popularity
from training.models.trend import rising_items
from training.models.two_steps import two_steps
from training.models.visits import Visits, visits_of
from training.spec import TrainingSpec

Part = tuple[dict[str, npt.NDArray[np.generic]], dict[str, SourceInfo]]


@dataclass(frozen=True, slots=True)
class LogSources:
    """What these sources learn from.

    Parameters
    ----------
    visits
        The visits among the events.
    item_category
        As the bundle has it, int32 (items,).
    categories
        How many the bundle has.
    searches
        What was searched for before the moment of the dataset.
    exposures
        What was shown; None where the log does not say.
    shown
        The same, also of shoppers and items that were never met otherwise.
    """

    events: KnownEvents
    visits: Visits
    dataset: Dataset
    spec: TrainingSpec
    item_category: Int32Array
    categories: int
    searches: Searches
    exposures: Exposures | None = None
    shown: ShownItems | None = None

    def learn(self, timer: Callable[[str], AbstractContextManager[None]]) -> Part:
        """Arrays and descriptions; a source without anything to say is left out."""
        arrays: dict[str, npt.NDArray[np.generic]] = {}
        sources: dict[str, SourceInfo] = {}
        for name, part in self._parts().items():
            with timer(name):
                found, described = part()
            arrays |= found
            sources |= described
        return arrays, sources

    def _parts(self) -> Mapping[str, Callable[[], Part]]:
        return {
            "two_steps": self._two_steps,
            "embedding": self._embedding,
            "encoder": self._encoder,
            "session_knn": self._session_knn,
            "item_stats": self._item_stats,
            "stranger_popularity": self._stranger_popularity,
            "courses": self._courses,
            "trend": self._trend,
            "new_items": self._new_items,
            "early_adopters": self._early_adopters,
            "content": self._content,
            "buy_again": self._buy_again,
            "usual_interval": self._usual_interval,
            ARRAY: self._impression_discount,
            acceptance.TABLE: self._acceptance,
            "pairs": self._pairs,
            "navigation": self._navigation,
        }

    def _two_steps(self) -> Part:
        settings = self.spec.two_steps
        lists = two_steps(self.visits, settings)
        if not (lists.weight > 0).any():
            return {}, {}
        params = {"lag_decay": settings.lag_decay}
        return lists.arrays("two_steps"), {"two_steps": SourceInfo(params=params)}

    def _embedding(self) -> Part:
        settings = self.spec.embedding
        if (found := embed(self.visits, settings)) is None:
            return {}, {}
        params = {"lag_decay": settings.lag_decay}
        arrays = {"item_vectors": found.vectors, **found.lists.arrays("embedding")}
        return arrays, {"embedding": SourceInfo(params=params)}

    def _encoder(self) -> Part:
        settings = self.spec.encoder
        found = learn_encoder(self.events, self.spec.weight_by_code, settings)
        if found is None:
            return {}, {}
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "encoder_vectors": found.vectors,
            "encoder_lengths": found.lengths,
            "encoder_lag_weights": found.lag_weights,
        }
        params = {"temperature": settings.temperature}
        params |= reach_params(settings.reach, found.vectors)
        return arrays, {"encoder": SourceInfo(params=params)}

    def _session_knn(self) -> Part:
        settings = self.spec.session_knn
        visits = self.visits.latest(settings.max_sessions)
        if not len(visits):
            return {}, {}
        wide = {
            "k": float(settings.k),
            "sample": float(settings.sample),
            "seed_reach": settings.seed_reach,
            "item_reach": settings.item_reach,
            "backward": settings.backward,
        }
        near = {
            "k": float(settings.near_k),
            "sample": float(settings.sample),
            "seed_reach": settings.near_seed_reach,
            "item_reach": settings.near_item_reach,
            "backward": settings.near_backward,
        }
        sources = {
            "session_knn": SourceInfo(params=wide),
            "session_knn_near": SourceInfo(params=near),
        }
        return dict(visits.arrays()), sources

    def _item_stats(self) -> Part:
        return {"item_stats": item_stats(self.events, self.spec.weight_by_code)}, {}

    def _stranger_popularity(self) -> Part:
        half_life = self.spec.popularity.half_life_days
        found = stranger_popularity(self.events, self.spec.weight_by_code, half_life)
        return {"stranger_popularity": found}, {}

    def _courses(self) -> Part:
        found = learn_courses(self.events, self.spec.weight_by_code)
        if found is None:
            return {}, {}
        return {"course_child": found.child, "course_share": found.share}, {}

    def _trend(self) -> Part:
        settings = self.spec.trend
        found = rising_items(self.events, self.spec.weight_by_code, settings)
        return _listed("trend", found, settings.everybody)

    def _new_items(self) -> Part:
        settings = self.spec.new_items
        found = new_items(self.events, self.spec.weight_by_code, settings)
        return _listed("new_items", found, settings.everybody)

    def _early_adopters(self) -> Part:
        settings = self.spec.early_adopters
        return _listed(
            "early_adopters", early_adopters_picks(self.events, settings), settings.everybody
        )

    def _content(self) -> Part:
        support = np.bincount(self.dataset.user_items.indices, minlength=self.events.items)
        lists = content_neighbours(
            self.dataset.items, support.astype(np.float64), self.spec.content
        )
        if not (lists.weight > 0).any():
            return {}, {}
        return lists.arrays("content"), {"content": SourceInfo()}

    def _buy_again(self) -> Part:
        settings = self.spec.buy_again
        found = repeat_intervals(self.events, self.item_category, settings.prior)
        if found.seen < settings.min_repeats:
            return {}, {}
        arrays = {
            "repeat_probability": found.probability,
            "interval_log_mean": found.log_mean,
            "interval_log_sd": found.log_sd,
            "buy_again_demand": demand(self.events, settings.demand_half_life_days),
            "rest_days": rest_days(found, settings.rest_days, settings.durable),
        }
        params = {
            "horizon_days": settings.horizon_days,
            "own_prior": settings.own_prior,
            "least": settings.least,
            "due": settings.due,
        }
        return dict(arrays), {"buy_again": SourceInfo(params=params)}

    def _usual_interval(self) -> Part:
        found = usual_interval(self.events)
        return ({"usual_interval": found} if len(found) else {}), {}

    def _impression_discount(self) -> Part:
        if self.exposures is None:
            return {}, {}
        table = learn_discount(self.exposures, self.spec.impression_discount)
        return ({} if table is None else {ARRAY: table}), {}

    def _acceptance(self) -> Part:
        if self.shown is None:
            return {}, {}
        found = learn_acceptance(self.shown, self.spec.acceptance)
        return ({} if found is None else acceptance.acceptance_arrays(found)), {}

    def _pairs(self) -> Part:
        found = pair_lifts(self.events, self.item_category, self.categories, self.spec.pairs)
        return ({} if found is None else found.arrays()), {}

    def _navigation(self) -> Part:
        ways = learn_ways(
            self.events,
            self.item_category,
            self.categories,
            self.searches,
            self.spec.navigation,
        )
        return ways, {}


def log_sources(
    window: EventWindow,
    dataset: Dataset,
    spec: TrainingSpec,
    item_category: Int32Array,
    categories: int,
) -> LogSources:
    """Gather what they learn from: what was known before the moment of the dataset."""
    events = known_events(window, dataset)
    visits = visits_of(events, spec.weight_by_code)
    exposures = known_exposures(window, dataset, events)
    shown = shown_items(window, Period(window.period.start, dataset.until))
    searches = searches_before(window, dataset.until)
    return LogSources(
        events, visits, dataset, spec, item_category, categories, searches, exposures, shown
    )


def searches_before(window: EventWindow, until: int) -> Searches:
    """The window's searches that had happened and arrived before a moment (microseconds)."""
    if window.searches is None:
        return Searches.none()
    known = pl.scan_parquet(window.searches).filter(
        pl.col("ts") < until, pl.col("available_at") < until
    )
    columns = known.select("shopper_idx", "ts", "term").collect().get_columns()
    return Searches(*(each.to_numpy() for each in columns))


def _listed(name: str, found: Shortlist, everybody: float) -> Part:
    if not len(found.items):
        return {}, {}
    return found.arrays(name), {name: SourceInfo(params={"everybody": everybody})}
