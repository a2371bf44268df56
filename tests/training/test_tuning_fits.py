from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from feature_store.catalogue import read_catalogue
from feature_store.layout import StoreLayout
from tests.training.tiny_log import tiny_spec
from training.engines.local import LocalEngine
from training.fitting import Fitting
from training.spec import TrainingSpec
from training.tuning_fits import KEPT, SharedFits


@pytest.fixture
def shared() -> SharedFits:
    return SharedFits(LocalEngine())


def _fit(engine: object, spec: TrainingSpec, store: StoreLayout, folder: Path):
    window = engine.ingest_window(store, tiny_spec(), None, folder)
    fitting = Fitting(engine, window, read_catalogue(store, None), spec, folder)
    return fitting.fit(window.period.end - 5 * 86_400_000_000).arrays


def test_shared_fits_are_the_fits(
    shared: SharedFits, tiny_store: StoreLayout, tmp_path: Path
) -> None:
    variants = [
        tiny_spec(),
        tiny_spec(als={"alpha": 3.0}),
        tiny_spec(covisitation={"view_view": {"smoothing": 1.0}}),
        tiny_spec(covisitation={"view_view": {"position_decay": 0.5}}),
        tiny_spec(seeds={"half_life_days": 3.0}),
        tiny_spec(event_weights={"purchase": 9.0, "view_item": 1.0}),
        tiny_spec(),
    ]
    for number, spec in enumerate(variants):
        (tmp_path / str(number)).mkdir()
        expected = _fit(LocalEngine(), spec, tiny_store, tmp_path / str(number))
        found = _fit(shared, spec, tiny_store, tmp_path)
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, err_msg=f"{number}: {name}")


def test_a_trial_repeats_only_what_its_settings_touch(
    shared: SharedFits, tiny_store: StoreLayout, tmp_path: Path
) -> None:
    def remembered(spec: TrainingSpec) -> int:
        before = shared.shared
        _fit(shared, spec, tiny_store, tmp_path)
        return shared.shared - before

    assert remembered(tiny_spec()) == 0
    every = remembered(tiny_spec())
    assert remembered(tiny_spec(als={"factors": 4})) == every - 1
    assert remembered(tiny_spec(covisitation={"view_view": {"smoothing": 1.0}})) == every
    assert remembered(tiny_spec(covisitation={"view_view": {"scope": "shopper"}})) == every - 1


def test_the_files_of_forgotten_fits_are_removed(
    shared: SharedFits, tiny_store: StoreLayout, tmp_path: Path
) -> None:
    for days in range(1, KEPT + 4):
        _fit(shared, tiny_spec(seeds={"half_life_days": float(days)}), tiny_store, tmp_path)
    assert len(list(tmp_path.glob("interactions-*"))) == KEPT
