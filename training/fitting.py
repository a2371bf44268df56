"""One model: interactions, catalogue and spec → arrays, and what the bundle says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from feature_store.catalogue import read_catalogue
from feature_store.layout import StoreLayout
from recommender.bundle import ModelBundle, bundle_of
from recommender.bundle_manifest import BundleInfo, BundleManifest, SourceInfo
from recommender.catalogue import catalogue_arrays
from recommender.terms import Int32Array
from training.dataset import Dataset, build_dataset, known_before, moment
from training.engine import Engine, EventWindow
from training.log_sources import log_sources
from training.models.covisitation import neighbour_lists
from training.models.item_knn import item_neighbours
from training.models.linear import linear_neighbours
from training.models.pace import MOST_VISITS, pace_arrays
from training.models.pace_visits import VisitRows, past_visits
from training.models.reach import reach_params
from training.pace_file import read_pace_file
from training.spec import TrainingSpec

StageTimer = Callable[[str], AbstractContextManager[None]]
Arrays = dict[str, npt.NDArray[np.generic]]


def untimed(_: str) -> AbstractContextManager[None]:
    """Stage timer that measures nothing."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model before it is written.

    Parameters
    ----------
    arrays
        By name, as `recommender.bundle_schema` has them; float32, int32 or bytes, finite.
    """

    arrays: Mapping[str, npt.NDArray[np.generic]]
    info: BundleInfo

    def bundle(self) -> ModelBundle:
        """The model in memory, after the checks that a saved bundle undergoes."""
        return bundle_of(self.arrays, BundleManifest.describe(self.info, {}))

    def with_blend(self, blend: Mapping[str, float]) -> Fitted:
        """The same model with other source weights; those of sources that it lacks say nothing."""
        own = {name: float(weight) for name, weight in blend.items() if name in self.info.sources}
        return replace(self, info=replace(self.info, blend=own))


@dataclass(frozen=True, slots=True)
class Fitting:
    """What every fit of one training run shares.

    Parameters
    ----------
    catalogue
        See `feature_store.catalogue.read_catalogue`.
    workspace
        Existing folder for files between the stages.
    timer
        Called with the name of each stage; the stage runs inside the context it returns.
    """

    engine: Engine
    window: EventWindow
    catalogue: pl.DataFrame
    spec: TrainingSpec
    workspace: Path
    timer: StageTimer = untimed

    @classmethod
    def of_store(
        cls,
        engine: Engine,
        layout: StoreLayout,
        spec: TrainingSpec,
        as_of: int | None,
        workspace: Path,
    ) -> Fitting:
        """Over a shop's tables as they were known before `as_of` (microseconds; None: all of them).

        Raises
        ------
        DataError
            The log is empty.
        """
        window = engine.ingest_window(layout, spec, as_of, workspace)
        catalogue = read_catalogue(layout, known_before(as_of))
        return cls(engine, window, catalogue, spec, workspace)

    def fit(self, until: int, blend: Mapping[str, float] | None = None) -> Fitted:
        """Learn from what was known before `until` (microseconds).

        Parameters
        ----------
        blend
            Source weights; the spec's own where none are given.

        Raises
        ------
        DataError
            Nothing was known yet.
        """
        with self.timer("dataset"):
            dataset = build_dataset(
                self.engine, self.window, self.catalogue, self.spec, until, self.workspace
            )
        arrays, sources = self._catalogue(dataset)
        for part in (self._als, self._item_knn, self._linear, self._covisitation):
            found, described = part(dataset)
            arrays |= found
            sources |= described
        category: Int32Array = arrays["item_category"]  # type: ignore[assignment]
        categories = len(arrays["category_offsets"]) - 1
        learner = log_sources(self.window, dataset, self.spec, category, categories)
        found, described = learner.learn(self.timer)
        arrays |= found
        sources |= described
        with self.timer("pace"):
            arrays |= self._pace(dataset, category)
        weights = dict(self.spec.blend.weights) if blend is None else blend
        present = {name: float(weight) for name, weight in weights.items() if name in sources}
        return Fitted(arrays, self._info(dataset, sources, present))

    def _catalogue(self, dataset: Dataset) -> tuple[Arrays, dict[str, SourceInfo]]:
        with self.timer("popularity"):
            arrays = catalogue_arrays(dataset.items, dataset.popularity)
        names = ["returns", "popularity"]
        if len(arrays["category_items"]):
            names.append("popular_in_category")
        return arrays, {name: SourceInfo() for name in names}

    def _als(self, dataset: Dataset) -> tuple[Arrays, dict[str, SourceInfo]]:
        settings = self.spec.als
        with self.timer("als"):
            factors = self.engine.factorise(dataset.user_items, self.spec)
        params = {"alpha": settings.alpha, "regularization": settings.regularization}
        if settings.frequency_exponent:
            params["frequency_exponent"] = settings.frequency_exponent
        params |= reach_params(settings.reach, factors.item_factors)
        arrays: Arrays = {"item_factors": factors.item_factors, "factor_inverse": factors.inverse}
        return arrays, {"als": SourceInfo(params=params)}

    def _item_knn(self, dataset: Dataset) -> tuple[Arrays, dict[str, SourceInfo]]:
        with self.timer("item_knn"):
            lists = item_neighbours(dataset.user_items, self.spec.item_knn)
        return lists.arrays("item_knn"), {"item_knn": SourceInfo()}

    def _linear(self, dataset: Dataset) -> tuple[Arrays, dict[str, SourceInfo]]:
        with self.timer("linear"):
            lists = linear_neighbours(dataset.user_items, self.spec.linear)
        return lists.arrays("linear"), {"linear": SourceInfo()}

    def _covisitation(self, dataset: Dataset) -> tuple[Arrays, dict[str, SourceInfo]]:
        arrays: Arrays = {}
        sources: dict[str, SourceInfo] = {}
        settings = self.spec.covisitation
        for name in settings.pairs:
            pair = settings.pair(name)
            with self.timer(name):
                counts = self.engine.neighbour_counts(
                    self.window, self.spec, name, dataset.until, self.workspace
                )
                weights = dataset.rebase(counts)
                if pair.direction == "both":
                    weights = sparse.csr_array(weights + weights.T)
                # A log without views has no view pairs: the source is left out, not empty.
                if weights.nnz:
                    arrays |= neighbour_lists(weights, pair, settings).arrays(name)
                    params = {"lag_decay": pair.lag_decay}
                    sources[name] = SourceInfo(pair.seed_events, params)
        return arrays, sources

    def _pace(self, dataset: Dataset, category: Int32Array) -> Arrays:
        """What the pace of visits is told from; see `training.models.pace`."""
        until = dataset.until
        names = ("shopper_idx", "item_idx", "event_code", "ts")
        known = [
            pl.scan_parquet(path)
            .filter(pl.col("ts") < until, pl.col("available_at") < until)
            .select(names)
            for path in (self.window.events, self.window.moves)
            if path is not None
        ]
        rows = VisitRows.of_frame(pl.concat(known).collect())
        own = np.append(dataset.bundle_idx, -1).astype(np.int32)
        rows = replace(rows, item=own[rows.item])
        gap = round(self.spec.session.gap_minutes * 60_000_000)
        rng = np.random.default_rng(self.spec.evaluation.seed)
        visits = past_visits(rows, category, gap, MOST_VISITS, rng)
        return pace_arrays(visits, read_pace_file().network())

    def _info(
        self, dataset: Dataset, sources: Mapping[str, SourceInfo], blend: Mapping[str, float]
    ) -> BundleInfo:
        spec = self.spec
        return BundleInfo(
            window_start=moment(self.window.period.start).isoformat(),
            window_end=moment(dataset.until).isoformat(),
            data_digest=self.window.digest,
            config=spec.resolved,
            config_digest=spec.digest,
            libraries=self.engine.libraries,
            sources=dict(sources),
            blend=dict(blend),
            event_weights=dict(spec.event_weights),
            seed_half_life_seconds=spec.seeds.half_life_days * 86_400,
        )
