from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from feature_store.layout import StoreLayout
from recommender.placements import read_placements
from tests.factories import DAY
from tests.training.tiny_log import tiny_spec
from training.engines.local import LocalEngine
from training.exam import REFITTED, UNRANKED, Store, innocent
from training.trainer import Trainer


def test_the_recipe_fitted_again_keeps_a_ranker_that_knows_nothing_of_the_period(
    tiny_store: StoreLayout, tmp_path: Path
) -> None:
    spec = tiny_spec(ranker={"min_questions": 10, "rounds": 5, "min_leaf": 5})
    trained = Trainer(LocalEngine(), spec, read_placements()["next"], tmp_path).train(tiny_store)
    served, store = trained.model.bundle(), Store(LocalEngine(), tiny_store, tmp_path)
    again, how = innocent(served, store, trained.cuts)
    assert how == REFITTED
    assert again.ranker is not None
    assert again.arrays.keys() == trained.judged.arrays.keys()
    for name, array in again.arrays.items():
        assert array.tobytes() == trained.judged.arrays[name].tobytes()
    earlier = replace(trained.cuts, test=trained.cuts.test - DAY)
    again, how = innocent(served, store, earlier)
    assert (how, again.ranker) == (UNRANKED, None)
