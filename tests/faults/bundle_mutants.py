"""Bundles that must never be served: broken, tampered with, or with code that touches a marker."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle  # noqa: TID251 - canaries: loading must never execute them
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from recommender.bundle_folder import POINTER
from recommender.bundle_manifest import BundleManifest, FileInfo, SourceInfo
from tests.bundles import NEAREST, saved_bundle, shop_visits, visit_arrays
from tests.forests import two_trees
from tests.rankers import with_ranker

MANIFEST = "manifest.json"
Change = Callable[[Path], object]


class Canary:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, (f"touch {self.marker}",))


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def array_of(folder: Path, name: str) -> np.ndarray:
    return np.load(folder / f"{name}.npy")


def sign(folder: Path, contents: dict[str, bytes | None], **info: Any) -> None:
    """Replace files, and make manifest and digests agree with them: only the contents are wrong."""
    manifest = BundleManifest.from_json((folder / MANIFEST).read_bytes())
    files = dict(manifest.files)
    for name, content in contents.items():
        if content is None:
            del files[name]
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
            files[name] = FileInfo(len(content), hashlib.sha256(content).hexdigest())
    described = type(manifest.info)(
        **{each: getattr(manifest.info, each) for each in manifest.info.__slots__} | info
    )
    (folder / MANIFEST).write_bytes(BundleManifest.describe(described, files).to_json())


def signed(name: str, content: bytes | None) -> Change:
    return lambda folder: sign(folder, {f"{name}.npy": content})


def changed(name: str, change: Callable[[np.ndarray], np.ndarray | None]) -> Change:
    """Change an array, in place or by another one, and sign it."""

    def apply(folder: Path) -> None:
        array = array_of(folder, name)
        other = change(array)
        sign(folder, {f"{name}.npy": npy(array if other is None else other)})

    return apply


def cut(name: str, keep: Callable[[int], int]) -> Change:
    def apply(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: keep(len(content))])

    return apply


def flip(name: str, place: float) -> Change:
    def apply(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[int(place * (len(content) - 1))] ^= 0x10
        (folder / name).write_bytes(content)

    return apply


def rewritten(change: Callable[[dict[str, Any]], object]) -> Change:
    def apply(folder: Path) -> None:
        raw = json.loads((folder / MANIFEST).read_text())
        change(raw)
        (folder / MANIFEST).write_text(json.dumps(raw, indent=1, sort_keys=True) + "\n")

    return apply


def bomb(folder: Path) -> None:
    """A few bytes that promise four terabytes."""
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999,), }"
    header = np.lib.format.magic(1, 0) + b"v\x00" + text.ljust(117) + b"\n"
    sign(folder, {"popularity.npy": header + b"\0" * 16})


def zipped(folder: Path) -> None:
    """A thousand to one: a megabyte of zeros in a zip, with a path that leads outside."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../popularity.npy", bytes(1 << 20))
    sign(folder, {"popularity.npy": stream.getvalue()})


def replaced(name: str, make: Callable[[Path], object]) -> Change:
    def apply(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return apply


def outside(folder: Path) -> None:
    (folder / "popularity.npy").rename(folder.parent / "elsewhere.npy")
    (folder / "popularity.npy").symlink_to(folder.parent / "elsewhere.npy")


def planted(change: Callable[[dict[str, np.ndarray]], object]) -> Change:
    """Add the trees of a ranker, spoilt."""

    def apply(folder: Path) -> None:
        trees = two_trees()
        change(trees)
        sign(folder, {f"{name}.npy": npy(array) for name, array in trees.items()})

    return apply


def ranked(change: Callable[[dict[str, np.ndarray]], object], **info: Any) -> Change:
    """Add a ranker, spoilt in its arrays or in what the manifest says of it."""

    def apply(folder: Path) -> None:
        manifest = BundleManifest.from_json((folder / MANIFEST).read_bytes())
        arrays, described = with_ranker(
            {name[:-4]: array_of(folder, name[:-4]) for name in manifest.files}, manifest.info
        )
        ranker = replace(described.ranker, **info)
        added = {name: each for name, each in arrays.items() if f"{name}.npy" not in manifest.files}
        change(added)
        sign(folder, {f"{name}.npy": npy(each) for name, each in added.items()}, ranker=ranker)

    return apply


def visited(change: Callable[[dict[str, np.ndarray]], object], **params: float) -> Change:
    """Add past visits and the source that asks them, spoilt."""

    def apply(folder: Path) -> None:
        arrays = visit_arrays(shop_visits(20), 20)
        change(arrays)
        sources = BundleManifest.from_json((folder / MANIFEST).read_bytes()).info.sources
        source = SourceInfo(params=NEAREST | params)
        contents = {f"{name}.npy": npy(array) for name, array in arrays.items()}
        sign(folder, contents, sources={**sources, "session_knn": source})

    return apply


def nothing(_: object) -> None:
    """Leave the arrays as they are: what is spoilt is in the manifest."""


def set_item(place: Any, value: Any) -> Callable[[np.ndarray], None]:
    def change(array: np.ndarray) -> None:
        array[place] = value

    return change


def mutants(marker: Path) -> dict[str, Change]:
    """At least fifty ways to spoil a good folder."""
    objects = np.empty(20, object)
    objects[:] = [Canary(marker)] * 20
    pickled = pickle.dumps(Canary(marker))
    return {
        "manifest gone": lambda f: (f / MANIFEST).unlink(),
        "manifest empty": cut(MANIFEST, lambda n: 0),
        "manifest cut": cut(MANIFEST, lambda n: n // 2),
        "manifest flipped": flip(MANIFEST, 0.5),
        "manifest deep": lambda f: (f / MANIFEST).write_text("[" * 100_000),
        "manifest yaml": lambda f: (f / MANIFEST).write_text(
            f"!!python/object/apply:os.system ['touch {marker}']"
        ),
        "manifest pickled": lambda f: (f / MANIFEST).write_bytes(pickled),
        "manifest of the future": rewritten(lambda raw: raw.update(format=2)),
        "manifest with more": rewritten(lambda raw: raw["info"].update(recommend="x")),
        "manifest wrong digest": rewritten(lambda raw: raw.update(digest="0" * 64)),
        "manifest with a path": rewritten(
            lambda raw: raw["files"].update({"../x.npy": raw["files"]["popularity.npy"]})
        ),
        "array cut to nothing": cut("popularity.npy", lambda n: 0),
        "array cut in half": cut("item_factors.npy", lambda n: n // 2),
        "array short of a byte": cut("item_id_data.npy", lambda n: n - 1),
        "array flipped at the head": flip("popular_order.npy", 0.0),
        "array flipped in the middle": flip("item_factors.npy", 0.7),
        "array flipped at the end": flip("neighbours_item_knn_idx.npy", 1.0),
        "array gone": lambda f: (f / "popularity.npy").unlink(),
        "array not listed": signed("popularity", None),
        "half a pair": signed("factor_inverse", None),
        "an array too many": lambda f: (f / "extra.npy").write_bytes(npy(np.zeros(3))),
        "an array too many, listed": signed("recommend", npy(np.zeros(3, np.float32))),
        "not a number": changed("item_factors", set_item((0, 0), np.nan)),
        "infinite": changed("item_price", set_item(3, np.inf)),
        "wider type": changed("popularity", lambda a: a.astype(np.float64)),
        "too short": changed("popularity", lambda a: a[:-1]),
        "one dimension more": changed("popularity", lambda a: a[:, None]),
        "neighbour beyond the end": changed("neighbours_item_knn_idx", set_item((0, 0), 20)),
        "category below -1": changed("item_category", set_item(0, -2)),
        "order repeats": changed("popular_order", np.zeros_like),
        "category bounds": changed("category_items_offsets", set_item(0, 1)),
        "id bounds": changed("item_id_offsets", set_item(1, 10**9)),
        "id slots": changed("item_id_slots", set_item(slice(None), -1)),
        "ids that are not text": changed("item_id_data", set_item(0, 0xFF)),
        "objects in an array": signed("popularity", npy(objects)),
        "a pickle for an array": signed("popularity", pickled),
        "joblib beside the arrays": lambda f: (f / "model.joblib").write_bytes(pickled),
        "a pickle in the name": lambda f: (f / "popularity.pkl").write_bytes(pickled),
        "tree that never ends": planted(lambda t: set_item(0, 0)(t["forest_next_step_left"])),
        "tree that leads outside": planted(lambda t: set_item(1, -9)(t["forest_next_step_right"])),
        "leaf of two parents": planted(lambda t: set_item(0, -1)(t["forest_next_step_right"])),
        "leaf not a number": planted(lambda t: set_item(2, np.nan)(t["forest_next_step_leaf"])),
        "trees without bounds": planted(lambda t: t.pop("forest_next_step_offsets")),
        "ranker without trees": ranked(
            lambda t: [t.pop(name) for name in list(t) if name.startswith("forest")]
        ),
        "ranker without figures": ranked(lambda t: t.pop("item_stats")),
        "ranker with too few figures": ranked(
            lambda t: t.update(item_stats=t["item_stats"][:, :1].copy())
        ),
        "ranker with a figure that is none": ranked(
            lambda t: set_item((0, 0), np.nan)(t["item_stats"])
        ),
        "ranker that asks beyond its features": ranked(
            lambda t: set_item(0, 10**6)(t["forest_purchase_feature"])
        ),
        "ranker of no candidates": ranked(nothing, candidates=0),
        "ranker of fewer features": ranked(nothing, features=()),
        "course that leads outside": ranked(lambda t: set_item((0, 1), 60)(t["course_child"])),
        "course without shares": ranked(lambda t: t.pop("course_share")),
        "course of other kinds": ranked(
            lambda t: t.update(
                course_child=t["course_child"][:, 1:].copy(),
                course_share=t["course_share"][:, 1:].copy(),
            )
        ),
        "visit that leads outside": visited(lambda v: set_item(3, 20)(v["session_items"])),
        "visit beyond the last": visited(lambda v: set_item(0, 16)(v["item_sessions"])),
        "visits whose bounds fall": visited(lambda v: set_item(1, 9)(v["session_offsets"])),
        "visits without bounds": visited(lambda v: v.pop("item_sessions_offsets")),
        "nearest none": visited(nothing, k=0.0),
        "bomb": bomb,
        "zip": zipped,
        "link to the outside": outside,
        "pipe": replaced("popularity.npy", os.mkfifo),
        "folder for a file": replaced("popularity.npy", lambda path: path.mkdir()),
        "folder inside": lambda f: (f / "inner").mkdir(),
        "unknown source": lambda f: sign(f, {}, blend={"oracle": 1.0}),
        "scores explode": lambda f: sign(f, {}, blend={"item_knn": 1e39}),
    }


def deliver(bundles: Path, change: Change, seed: int) -> str:
    """Put a spoilt bundle in place without any check, as a careless or hostile hand would."""
    folder = bundles / "spoilt"
    shutil.rmtree(folder, ignore_errors=True)
    version = saved_bundle(folder, seed=seed).version
    change(folder)
    with suppress(OSError, ValueError, KeyError, RecursionError):
        # Signed anew it has another version, and the folder is called so.
        version = str(json.loads((folder / MANIFEST).read_text())["version"])
    if not version.isalnum() or len(version) != 16:
        version = "f" * 16
    shutil.rmtree(bundles / version, ignore_errors=True)
    folder.rename(bundles / version)
    point(bundles, version)
    return version


def point(bundles: Path, version: str) -> None:
    """Replace the pointer, in one step."""
    temporary = bundles / "pointer.new"
    temporary.write_text(json.dumps({"version": version, "previous": []}))
    temporary.rename(bundles / POINTER)
