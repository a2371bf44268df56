"""The same questions for every model: hold-out shoppers, and models that know nothing of them.

A model that serves has learnt from everything, so it cannot be asked about a period that it has
seen. Its *recipe* can: the same configuration and source weights, fitted again on what was before
the period. That is how a champion and a challenger are compared on the same shoppers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from feature_store.layout import StoreLayout
from recommender.bundle import ModelBundle
from recommender.forest_arrays import array_name, heads_of
from recommender.placements import Placement
from recommender.terms import MICROS_PER_SECOND
from training.engine import Engine, Period
from training.fitting import Fitted, Fitting
from training.spec import TrainingSpec, parse_spec
from training.split import Cuts, HoldOut, Sampling, find_cuts, hold_out

AS_SERVED: Final = "as served"
REFITTED: Final = "same recipe, fitted before the hold-out period"
UNRANKED: Final = f"{REFITTED}, without the ranker, which has learnt from it"


@dataclass(frozen=True, slots=True)
class Store:
    """Tables to learn from, up to a moment.

    Parameters
    ----------
    as_of
        Microseconds since the epoch; None: all of the log.
    workspace
        Existing folder for files between the stages.
    """

    engine: Engine
    layout: StoreLayout
    workspace: Path
    as_of: int | None = None


@dataclass(frozen=True, slots=True)
class Exam:
    """Questions to put before models.

    Parameters
    ----------
    placement
        Where they are asked.
    """

    store: Store
    spec: TrainingSpec
    placement: Placement
    cuts: Cuts
    test: HoldOut

    @property
    def k(self) -> int:
        """List length that decides: 20, or the largest cut-off of the spec below it."""
        return max(
            (k for k in self.spec.evaluation.k if k <= 20), default=self.spec.evaluation.k[0]
        )

    def innocent(self, bundle: ModelBundle) -> tuple[ModelBundle, str]:
        """The bundle if it knows nothing of the test period, else its recipe fitted before it.

        Returns
        -------
        tuple
            The model in memory, and `AS_SERVED`, `REFITTED` or `UNRANKED`.

        Raises
        ------
        ConfigError
            The bundle's configuration is not one that this version can fit.
        """
        return innocent(bundle, self.store, self.cuts)


def innocent(bundle: ModelBundle, store: Store, cuts: Cuts) -> tuple[ModelBundle, str]:
    """See `Exam.innocent`."""
    if window_end(bundle) <= cuts.test:
        return bundle, AS_SERVED
    recipe = parse_spec(bundle.manifest.info.config)
    fitting = Fitting.of_store(store.engine, store.layout, recipe, store.as_of, store.workspace)
    fitted = fitting.fit(cuts.test, bundle.manifest.info.blend)
    if bundle.manifest.info.ranker is None:
        return fitted.bundle(), REFITTED
    # The ranker learnt from what was before the test period of its own window.
    if find_cuts(window_of(bundle), recipe).test > cuts.test:
        return fitted.bundle(), UNRANKED
    return _ranked_as(bundle, fitted).bundle(), REFITTED


def _ranked_as(bundle: ModelBundle, fitted: Fitted) -> Fitted:
    """A model with the ranker of another."""
    trees = {
        name: array
        for head in heads_of(bundle.arrays)
        for name, array in bundle.arrays.items()
        if name.startswith(array_name(head, ""))
    }
    info = replace(fitted.info, ranker=bundle.manifest.info.ranker)
    return replace(fitted, arrays={**fitted.arrays, **trees}, info=info)


def set_exam(store: Store, spec: TrainingSpec, placement: Placement) -> Exam:
    """Draw the hold-out shoppers of a store, as training does.

    Raises
    ------
    DataError
        The log is empty or too short to be split.
    """
    window = store.engine.ingest_window(store.layout, spec, store.as_of, store.workspace)
    cuts = find_cuts(window.period, spec)
    sampling = Sampling(spec.evaluation.max_users, spec.evaluation.seed)
    test = hold_out(store.engine, window, spec, cuts.test_period, sampling, store.workspace)
    return Exam(store, spec, placement, cuts, test)


def window_of(bundle: ModelBundle) -> Period:
    """The time that the bundle learnt from."""
    info = bundle.manifest.info
    start, end = (datetime.fromisoformat(each) for each in (info.window_start, info.window_end))
    return Period(*(round(each.timestamp() * MICROS_PER_SECOND) for each in (start, end)))


def window_end(bundle: ModelBundle) -> int:
    """Microseconds since the epoch before which the bundle learnt."""
    return window_of(bundle).end
