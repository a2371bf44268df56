"""The whole loop with real parts: log → tables → training → registry → delivery → answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from feature_store.console import Console
from feature_store.layout import StoreLayout
from recommender.bundle import ModelBundle, load_bundle
from recommender.bundle_folder import current
from recommender.pipeline import recommend
from recommender.placements import read_placements
from recommender.policy import TopPolicy
from recommender.query import Interaction, Query
from recommender.terms import ITEM_KINDS, PERSONALISED, POPULAR, PURCHASE, SESSION, VIEW_ITEM
from tests.training.tiny_log import BEGIN, DAYS, ITEMS, item_id, tiny_spec, visits, write_log
from training.deliver import deliver, roll_back
from training.engines.local import LocalEngine
from training.registry import CHAMPION, Registry, Tracking
from training.workflow import LogFile, TrainRequest, Workbench, train

pytestmark = pytest.mark.slow

END = BEGIN + timedelta(days=DAYS)
YESTERDAY = END - timedelta(days=1)


def _workbench(root: Path) -> Workbench:
    registry = Registry(Tracking.in_folder(root))
    return Workbench(LocalEngine(), registry, lambda: 1_800_000_000_000_000, Console())


def _in_use(root: Path) -> ModelBundle:
    folder = current(root)
    assert folder is not None
    return load_bundle(folder)


def _ask(bundle: ModelBundle, placement: str = "home", **parts: object) -> tuple[str, list[int]]:
    query = Query(at=END, placement=placement, limit=8, kinds=ITEM_KINDS, **parts)  # type: ignore[arg-type]
    place = replace(read_placements()[placement], max_changed_share=1.0)
    slate = recommend(query, bundle, place, TopPolicy())
    return slate.fallback_level, [int(item.item_id.removeprefix("item-")) for item in slate.items]


def _did(item: int, event_type: str, at: datetime) -> Interaction:
    return Interaction(item_id(item), event_type, round(at.timestamp() * 1e6))


def _check_answers(bundle: ModelBundle, parity: int) -> None:
    """Whoever dealt with one half of the shop is shown that half."""
    level, shown = _ask(bundle, history=(_did(10 + parity, PURCHASE, YESTERDAY),))
    assert level == PERSONALISED
    assert len(shown) == 8
    assert {item % 2 for item in shown} == {parity}
    level, shown = _ask(bundle, session=(_did(20 + parity, VIEW_ITEM, END - timedelta(minutes=2)),))
    assert level == SESSION
    assert {item % 2 for item in shown[:3]} == {parity}
    level, shown = _ask(bundle)
    assert level == POPULAR
    assert len(set(shown)) == 8


def test_the_loop_closes(tmp_path: Path) -> None:
    root, service = tmp_path / "store", tmp_path / "service"
    bench = _workbench(root)
    log = LogFile(write_log(tmp_path / "log.parquet"), "desirepath-parquet")
    request = TrainRequest(StoreLayout(root), tiny_spec(gate={"max_ndcg_loss": 1.0}), log)

    # Log → tables → model → registry → champion → the service's folder → a known answer.
    first = train(request, bench)
    assert first.promoted, first.gate.reasons
    assert first.ingested is not None
    assert (first.ingested.rows_in, first.ingested.kept) == (2000, 2000)
    delivered = deliver(bench.registry, CHAMPION, service)
    assert delivered.bundle_version == first.registered.bundle_version
    bundle = _in_use(service)
    assert len(bundle.catalogue) == ITEMS
    for parity in (0, 1):
        _check_answers(bundle, parity)

    # The same again gives the same bundle, and delivers nothing.
    second = train(request, bench)
    assert second.registered.tags["bundle_digest"] == first.registered.tags["bundle_digest"]
    assert deliver(bench.registry, CHAMPION, service).outcome == "unchanged"

    # New events give another model, and one command brings the old one back.
    later = write_log(tmp_path / "later.parquet", visits(begin=END, days=10, seed=9))
    third = train(replace(request, log=LogFile(later, "desirepath-parquet")), bench)
    assert third.promoted, third.gate.reasons
    assert deliver(bench.registry, CHAMPION, service).previous == bundle.version
    assert _in_use(service).version == third.registered.bundle_version != bundle.version
    assert roll_back(service).bundle_version == bundle.version
    assert _in_use(service).manifest == bundle.manifest
