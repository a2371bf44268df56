"""The main job on a real log: two years of invoices of a gift shop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from feature_store.contested_ids import find_contested
from feature_store.ingest import ingest
from feature_store.ingest_report import IngestReport
from feature_store.layout import StoreLayout
from feature_store.staging import Staging
from feature_store.tables import scan_stored
from recommender.placements import read_placements
from training.engines.local import LocalEngine
from training.evaluation.offline import answers
from training.evaluation.slices import is_returning
from training.sections import EncoderSpec, EvaluationSpec, RankerSpec, WindowSpec
from training.spec import TrainingSpec
from training.trainer import Trained, Trainer

NEXT = read_placements()["next"]

pytestmark = [pytest.mark.slow, pytest.mark.shared]


@pytest.fixture(scope="module")
def log(shared_path: Path) -> Path:
    return shared_path / "data" / "online_retail_ii" / "transactions.parquet"


@pytest.fixture(scope="module")
def online_retail(
    log: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[StoreLayout, IngestReport]:
    """Its tables, and what its ingest said. Nothing may be added to them."""
    layout = StoreLayout(tmp_path_factory.mktemp("online-retail"))
    return layout, ingest(log, "online-retail", layout)


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


def test_every_row_is_accounted_for(
    log: Path, online_retail: tuple[StoreLayout, IngestReport], tmp_path: Path
) -> None:
    """1.04 million rows, and the table has what the file has."""
    layout, report = online_retail
    raw = pl.read_parquet(log)
    assert report.rows_in == raw.height == 1_044_847
    assert report.rows_in == report.kept + report.duplicates + report.rejected_rows
    assert report.rejected["missing_customer"] == raw["CustomerID"].null_count()
    assert scan_stored(layout).select(pl.len()).collect().item() == report.kept
    assert _no_id_is_on_two_days(layout, tmp_path)
    again = ingest(log, "online-retail", layout)
    assert (again.kept, again.duplicates) == (0, report.kept + report.duplicates)
    assert again.days_rewritten == ()


def _no_id_is_on_two_days(layout: StoreLayout, tmp_path: Path) -> bool:
    with Staging(tmp_path / "staged", 1_000_000) as staging:
        staging.add(scan_stored(layout).collect())
        staging.flush()
        return find_contested(layout, staging).owners.is_empty()


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
