from __future__ import annotations

import json
import os
import pickle  # noqa: TID251 - a canary: loading must never execute it
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.bundle import load_bundle, save_bundle
from recommender.bundle_manifest import BundleManifest
from recommender.errors import BundleError
from tests.bundles import saved_bundle, shop_arrays, shop_info


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "good"
    saved_bundle(folder)
    return folder


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in good.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def test_save_then_load_is_the_identity(good: Path) -> None:
    arrays, bundle = shop_arrays(), load_bundle(good)
    assert bundle.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(bundle.arrays[name], array)
    assert bundle.manifest.info == shop_info()


def test_the_same_input_gives_the_same_digest(good: Path, tmp_path: Path) -> None:
    again = saved_bundle(tmp_path / "again")
    other = saved_bundle(tmp_path / "other", seed=1)
    assert again.digest == load_bundle(good).manifest.digest != other.digest
    assert again.version == again.digest[:16]


def test_loaded_arrays_cannot_be_changed(good: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        load_bundle(good).arrays["popularity"][0] = 3  # type: ignore[index]


def test_a_bundle_is_never_written_over_another(good: Path) -> None:
    with pytest.raises(BundleError, match="exists"):
        saved_bundle(good)


@settings(max_examples=150)
@given(st.data())
def test_any_flipped_byte_is_refused(good: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(good.iterdir())))
    original = path.read_bytes()
    position = data.draw(st.integers(0, len(original) - 1))
    changed = bytearray(original)
    changed[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(changed))
    try:
        with pytest.raises(BundleError):
            load_bundle(good)
    finally:
        path.write_bytes(original)


@settings(max_examples=60)
@given(st.data())
def test_any_truncation_is_refused(good: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(good.iterdir())))
    original = path.read_bytes()
    path.write_bytes(original[: data.draw(st.integers(0, len(original) - 1))])
    try:
        with pytest.raises(BundleError):
            load_bundle(good)
    finally:
        path.write_bytes(original)


ARRAY_MUTANTS: dict[str, Callable[[dict[str, np.ndarray]], object]] = {
    "missing": lambda a: a.pop("popularity"),
    "extra": lambda a: a.update(recommend=np.zeros(3, np.float32)),
    "shadowing": lambda a: a.update(__class__=np.zeros(3, np.float32)),
    "dtype": lambda a: a.update(popularity=a["popularity"].astype(np.float64)),
    "shape": lambda a: a.update(popularity=a["popularity"][:-1]),
    "dimensions": lambda a: a.update(popularity=a["popularity"][:, None]),
    "nan": lambda a: a["item_factors"].__setitem__((0, 0), np.nan),
    "infinity": lambda a: a["item_price"].__setitem__(3, np.inf),
    "half a pair": lambda a: a.pop("factor_inverse"),
    "half a list": lambda a: a.pop("neighbours_item_knn_weight"),
    "index too large": lambda a: a["neighbours_item_knn_idx"].__setitem__((0, 0), 20),
    "index below -1": lambda a: a["item_category"].__setitem__(0, -2),
    "order repeats": lambda a: a["popular_order"].__setitem__(0, a["popular_order"][1]),
    "category bounds": lambda a: a["category_items_offsets"].__setitem__(0, 1),
    "id bounds": lambda a: a["item_id_offsets"].__setitem__(1, 10**9),
    "id slots": lambda a: a["item_id_slots"].__setitem__(slice(None), -1),
    "empty": lambda a: a.clear(),
    "object array": lambda a: a.update(popularity=np.array([{}] * 20, object)),
    "half a short list": lambda a: a.pop("shortlist_trend_score"),
    "short list with another length": lambda a: a.update(
        shortlist_trend_score=a["shortlist_trend_score"][:-1]
    ),
    "listed item too large": lambda a: a["shortlist_trend_items"].__setitem__(0, 20),
    "listed item below 0": lambda a: a["shortlist_trend_items"].__setitem__(0, -1),
    "listed twice": lambda a: a["shortlist_trend_items"].__setitem__(0, 2),
    "no spread of intervals": lambda a: a["interval_log_sd"].__setitem__(3, 0),
    "more than certain to repeat": lambda a: a["repeat_probability"].__setitem__(3, 1.5),
    "no usual interval": lambda a: a["usual_interval"].__setitem__(0, 0),
    "two usual intervals": lambda a: a.update(usual_interval=np.ones(2, np.float32)),
    "a third of the intervals": lambda a: a.pop("interval_log_mean"),
    "source without arrays": lambda a: (
        a.pop("neighbours_item_knn_idx"),
        a.pop("neighbours_item_knn_weight"),
    ),
}


@pytest.mark.parametrize("mutant", ARRAY_MUTANTS)
def test_unacceptable_arrays_are_refused(mutant: str, tmp_path: Path) -> None:
    arrays = shop_arrays()
    ARRAY_MUTANTS[mutant](arrays)
    with pytest.raises(BundleError):
        save_bundle(tmp_path / "bundle", arrays, shop_info())
    assert not (tmp_path / "bundle").exists()


def _rewrite(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    raw = json.loads((folder / "manifest.json").read_text())
    change(raw)
    (folder / "manifest.json").write_text(json.dumps(raw))


FOLDER_MUTANTS: dict[str, Callable[[Path], object]] = {
    "no manifest": lambda f: (f / "manifest.json").unlink(),
    "empty manifest": lambda f: (f / "manifest.json").write_text(""),
    "future format": lambda f: _rewrite(f, lambda raw: raw.update(format=2)),
    "unknown part": lambda f: _rewrite(f, lambda raw: raw["info"].update(recommend="x")),  # type: ignore[union-attr, attr-defined]
    "wrong digest": lambda f: _rewrite(f, lambda raw: raw.update(digest="0" * 64)),
    "deep manifest": lambda f: (f / "manifest.json").write_text("[" * 100_000),
    "yaml tag": lambda f: (f / "manifest.json").write_text("!!python/object/apply:os.system [x]"),
    "file missing": lambda f: (f / "popularity.npy").unlink(),
    "extra file": lambda f: (f / "extra.npy").write_bytes(b""),
    "extra folder": lambda f: (f / "inner").mkdir(),
    "symlink": lambda f: (
        (f / "popularity.npy").rename(f.parent / "elsewhere.npy"),
        (f / "popularity.npy").symlink_to(f.parent / "elsewhere.npy"),
    ),
    "pipe": lambda f: ((f / "popularity.npy").unlink(), os.mkfifo(f / "popularity.npy")),
    "folder for file": lambda f: (
        (f / "popularity.npy").unlink(),
        (f / "popularity.npy").mkdir(),
    ),
    "path outside": lambda f: _rewrite(
        f,
        lambda raw: raw["files"].update({"../x.npy": raw["files"]["popularity.npy"]}),  # type: ignore[index, attr-defined]
    ),
}


@pytest.mark.parametrize("mutant", FOLDER_MUTANTS)
def test_a_tampered_folder_is_refused(mutant: str, folder: Path) -> None:
    FOLDER_MUTANTS[mutant](folder)
    with pytest.raises(BundleError):
        load_bundle(folder)


class Canary:
    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path(self.marker),))


def test_a_pickle_is_never_executed_even_with_matching_digests(
    folder: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "executed"
    payload = np.empty(20, object)
    payload[:] = [Canary(str(marker))] * 20
    manifest = BundleManifest.from_json((folder / "manifest.json").read_bytes())
    for content in (pickle.dumps(Canary(str(marker))), _object_npy(payload)):
        _resign(folder, manifest, "popularity.npy", content)
        with pytest.raises(BundleError):
            load_bundle(folder)
    assert not marker.exists()


def _object_npy(array: np.ndarray) -> bytes:
    import io

    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)  # the canary must be a real object array
    return stream.getvalue()


def _resign(folder: Path, manifest: BundleManifest, name: str, content: bytes) -> None:
    import hashlib

    from recommender.bundle_manifest import FileInfo

    (folder / name).write_bytes(content)
    files = dict(manifest.files)
    files[name] = FileInfo(len(content), hashlib.sha256(content).hexdigest())
    signed = BundleManifest.describe(manifest.info, files)
    (folder / "manifest.json").write_bytes(signed.to_json())


def test_a_header_that_promises_too_much_is_refused(folder: Path) -> None:
    manifest = BundleManifest.from_json((folder / "manifest.json").read_bytes())
    header = np.lib.format.magic(1, 0) + b"v\x00"
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999,), }"
    content = header + text.ljust(117) + b"\n" + b"\0" * 16
    _resign(folder, manifest, "popularity.npy", content)
    with pytest.raises(BundleError, match="popularity"):
        load_bundle(folder)
