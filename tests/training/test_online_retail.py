"""The main job on a real log: two years of invoices of a gift shop."""

from __future__ import annotations

from dataclasses import replace

import pytest

from feature_store.ingest_report import IngestReport
from feature_store.layout import StoreLayout
from recommender.placements import read_placements
from training.engines.local import LocalEngine
from training.evaluation.offline import answers
from training.evaluation.slices import is_returning
from training.sections import EncoderSpec, EvaluationSpec, RankerSpec, WindowSpec
from training.spec import TrainingSpec
from training.trainer import Trained, Trainer

NEXT = read_placements()["next"]


# One worker for all that reads this log: bringing it in and training on it are done once.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.shared,
    pytest.mark.xdist_group("online-retail"),
]


@pytest.fixture(scope="module")
def trained(
    online_retail: tuple[StoreLayout, IngestReport], tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    work = tmp_path_factory.mktemp("work")
    # Less is learnt and asked than by default, so that the suite stays short: the claims hold too.
    spec = TrainingSpec(
        window=WindowSpec(days=200),
        encoder=EncoderSpec(factors=32, epochs=1, min_steps=100),
        blend=replace(TrainingSpec().blend, restarts=1, max_users=400),
        ranker=RankerSpec(cuts=1, more_cuts=0, rounds=40, leaves=31),
        evaluation=EvaluationSpec(max_users=1_050, bootstrap_rounds=300),
    )
    return Trainer(LocalEngine(), spec, NEXT, work).train(online_retail[0])


def test_two_years_of_invoices(trained: Trained) -> None:
    """One test, because training on its last 200 days is by far the longest part of it."""
    _beats_popularity_and_every_single_source(trained)
    _has_no_view_pairs(trained)
    _popularity_tells_nobody_apart_and_the_blend_does(trained)


def _beats_popularity_and_every_single_source(trained: Trained) -> None:
    report = trained.report
    assert report.users > 1_000
    singles = [variant.name for variant in report.variants[1:]]
    assert {"popularity", "als", "item_knn", "purchase_purchase", "returns"} <= set(singles)
    gains = {name: report.variant(name).loss["ndcg@20"].low for name in singles}
    assert all(low > 0 for low in gains.values()), gains


def _has_no_view_pairs(trained: Trained) -> None:
    sources = trained.model.info.sources
    assert not {"view_view", "view_cart", "cart_purchase"} & sources.keys()
    assert not any(name.startswith("neighbours_view") for name in trained.model.arrays)


def _popularity_tells_nobody_apart_and_the_blend_does(trained: Trained) -> None:
    bundle = trained.judged.bundle()
    rankings = answers(bundle, trained.test, NEXT, 10)
    known = [r for i, r in enumerate(rankings) if is_returning(trained.test, i)]
    assert len(set(known)) > 0.9 * len(known)
    strangers = [r for i, r in enumerate(rankings) if not is_returning(trained.test, i)]
    assert len(set(strangers)) == 1
