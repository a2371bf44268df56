from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from feature_store.layout import StoreLayout
from recommender.bundle import bundle_of
from recommender.bundle_folder import POINTER, rollback
from recommender.bundle_manifest import BundleManifest
from recommender.errors import BundleError
from recommender.placements import read_placements
from serving.bundle_source import NO_MODEL, BundleSource, ask_canaries
from serving.telemetry import Metrics
from tests.bundles import shop_arrays, shop_bundle, shop_info
from tests.serving.service import publish_shop

PLACEMENTS = read_placements()


def source_of(root: Path, poll_seconds: float = 0.01) -> BundleSource:
    return BundleSource(StoreLayout(root).bundles, PLACEMENTS, poll_seconds, Metrics())


def test_the_delivered_model_is_loaded(tmp_path: Path) -> None:
    version = publish_shop(tmp_path)
    source = source_of(tmp_path)
    source.load_first()
    assert (source.current.version, source.current.items) == (version, 19)
    assert source.refusal is None


def test_without_a_delivery_there_is_a_stand_in(tmp_path: Path) -> None:
    source = source_of(tmp_path / "nothing")
    source.load_first()
    assert (source.current.version, source.current.items) == (NO_MODEL, 0)
    assert not source.current.is_loaded


def test_new_versions_and_rollbacks_are_picked_up(tmp_path: Path) -> None:
    first = publish_shop(tmp_path, seed=1)
    source = source_of(tmp_path)
    source.load_first()
    source.start()
    try:
        second = publish_shop(tmp_path, seed=2)
        _wait_for(lambda: source.current.version == second)
        rollback(StoreLayout(tmp_path).bundles)
        _wait_for(lambda: source.current.version == first)
    finally:
        source.stop()


def _wait_for(condition: object) -> None:
    event = threading.Event()
    for _ in range(500):
        if condition():  # type: ignore[operator]
            return
        event.wait(0.01)
    pytest.fail("it did not happen within five seconds")


def test_a_corrupt_version_at_start_gives_way_to_the_last_good_one(tmp_path: Path) -> None:
    first = publish_shop(tmp_path, seed=1)
    second = publish_shop(tmp_path, seed=2)
    _flip(StoreLayout(tmp_path).bundles / second / "popularity.npy")
    source = source_of(tmp_path)
    source.load_first()
    assert source.current.version == first
    assert second in (source.refusal or "")
    source.poll()
    assert source.current.version == first


@pytest.mark.parametrize("content", [b"\x00", b"{}", b"[" * 100_000])
def test_a_corrupt_pointer_at_start_gives_way_to_any_good_version(
    tmp_path: Path, content: bytes
) -> None:
    version = publish_shop(tmp_path)
    (StoreLayout(tmp_path).bundles / POINTER).write_bytes(content)
    source = source_of(tmp_path)
    source.load_first()
    assert source.current.version == version
    assert POINTER in (source.refusal or "")


def test_a_refused_version_is_tried_again_when_it_changes(tmp_path: Path) -> None:
    first = publish_shop(tmp_path, seed=1)
    source = source_of(tmp_path)
    source.load_first()
    second = publish_shop(tmp_path, seed=2)
    folder = StoreLayout(tmp_path).bundles / second
    kept = tmp_path / "kept"
    shutil.copytree(folder, kept)
    (folder / "manifest.json").write_text("{}")
    source.poll()
    assert source.current.version == first
    shutil.copy(kept / "manifest.json", folder / "manifest.json")
    source.poll()
    assert (source.current.version, source.refusal) == (second, None)


def test_a_folder_under_another_name_is_refused(tmp_path: Path) -> None:
    first = publish_shop(tmp_path, seed=1)
    source = source_of(tmp_path)
    source.load_first()
    second = publish_shop(tmp_path, seed=2)
    bundles = StoreLayout(tmp_path).bundles
    shutil.rmtree(bundles / second)
    shutil.copytree(bundles / first, bundles / second)
    source.poll()
    assert first in (source.refusal or "")
    assert source.current.version == first


def test_canaries_pass_good_models() -> None:
    ask_canaries(shop_bundle(), PLACEMENTS.values())
    ask_canaries(shop_bundle(1), PLACEMENTS.values())


def test_a_model_whose_scores_explode_is_refused() -> None:
    info = shop_info(blend={"item_knn": 1e39})
    bundle = bundle_of(shop_arrays(), BundleManifest.describe(info, {}))
    with pytest.raises(BundleError, match="canary"), np.errstate(all="ignore"):
        ask_canaries(bundle, PLACEMENTS.values())


def test_an_unexpected_error_in_a_canary_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import serving.bundle_source

    first = publish_shop(tmp_path, seed=1)
    source = source_of(tmp_path)
    source.load_first()

    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(serving.bundle_source, "recommend", breaks)
    publish_shop(tmp_path, seed=2)
    source.poll()
    assert source.current.version == first
    assert "ZeroDivisionError" in (source.refusal or "")


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
