"""A model as a folder of arrays: save, verify, load. Nothing in it can carry code.

Loading reads each listed file once into private memory (file mappings scan about two times
slower), compares size and sha256 before it parses, and accepts only the arrays of
`recommender.bundle_schema`. Whatever is wrong ends in `BundleError`, and nothing is in use.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from recommender.acceptance import Acceptance, build_acceptance
from recommender.bundle_manifest import BundleInfo, BundleManifest, FileInfo
from recommender.bundle_schema import (
    MAX_ARRAY_BYTES,
    MAX_MANIFEST_BYTES,
    check_arrays,
    spec_of,
)
from recommender.candidates.build import build_source
from recommender.candidates.source import CandidateSource
from recommender.catalogue import Catalogue
from recommender.errors import BundleError
from recommender.kept import Kept
from recommender.navigation import Ways, ways_of
from recommender.pace import UNKNOWN_PACE, Pace, PaceModel, build_pace
from recommender.query import Visit
from recommender.stage import UNKNOWN_INTERVAL_SECONDS
from recommender.terms import Int32Array

if TYPE_CHECKING:
    from recommender.candidates.panel import Panel
    from recommender.default_list import DefaultList
    from recommender.ranker import Ranker

MANIFEST = "manifest.json"
DEFAULTS_KEPT: Final = 512
CARTS_KEPT: Final = 2048
PANELS_KEPT: Final = 64
Arrays = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class ModelBundle:
    """A verified model, ready to answer.

    Parameters
    ----------
    catalogue
        The items and their attributes.
    sources
        The candidate sources that the manifest names.
    arrays
        All arrays by name, see `recommender.bundle_schema`.
    ranker
        What orders the candidates; None: the blend does.
    ways
        Where to go next; None where nothing is known about that.
    pace_model
        What tells the pace of a visit; None: it stays unknown.
    acceptance
        How likely an item is taken up where it stands; None: nothing is promised.
    defaults
        What anybody would be shown, by question, see `recommender.default_list`.
    goes_with
        What goes with the items of a cart, by these, see `recommender.kinds`.
    """

    manifest: BundleManifest
    catalogue: Catalogue
    sources: Mapping[str, CandidateSource]
    arrays: Arrays
    ranker: Ranker | None = None
    ways: Ways | None = None
    pace_model: PaceModel | None = None
    acceptance: Acceptance | None = None
    defaults: Kept[Hashable, DefaultList] = field(
        default_factory=lambda: Kept(DEFAULTS_KEPT), repr=False, compare=False
    )
    goes_with: Kept[tuple[int, ...], Int32Array] = field(
        default_factory=lambda: Kept(CARTS_KEPT), repr=False, compare=False
    )
    _panels: Kept[tuple[str, ...], Panel] = field(
        default_factory=lambda: Kept(PANELS_KEPT), init=False, repr=False, compare=False
    )

    @property
    def version(self) -> str:
        """Version that answers and decision records name."""
        return self.manifest.version

    @property
    def usual_interval_seconds(self) -> float:
        """The shop's usual time between two purchases of a shopper, for `recommender.stage`."""
        usual = self.arrays.get("usual_interval")
        return UNKNOWN_INTERVAL_SECONDS if usual is None else float(usual[0])

    def panel(self, wanted: tuple[str, ...] = ()) -> Panel:
        """The sources of these names, in the order of the bundle; without any name, all of them."""
        if (panel := self._panels.get(wanted)) is None:
            # Kernels come in only where there is a model, see `recommender.compiled`.
            from recommender.candidates.panel import Panel

            chosen = {
                name: source
                for name, source in self.sources.items()
                if not wanted or name in wanted
            }
            panel = Panel.of(chosen)
            self._panels.keep(wanted, panel)
        return panel

    def pace(self, visit: Visit) -> Pace:
        """At which pace a visit goes."""
        model = self.pace_model
        return UNKNOWN_PACE if model is None else model.pace(visit)

    def promised(self, placement: str) -> tuple[float, ...]:
        """Predicted acceptance of each place of a list; empty where nothing was learnt."""
        return () if self.acceptance is None else self.acceptance.curve(placement)


def save_bundle(folder: Path, arrays: Arrays, info: BundleInfo) -> BundleManifest:
    """Write arrays and manifest into a new folder, synced to disk.

    Raises
    ------
    BundleError
        The arrays are not acceptable, or the folder exists.
    """
    bundle_of(arrays, BundleManifest.describe(info, {}))
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise BundleError(f"{folder} exists; a bundle is never written over another") from error
    files = {}
    for name in sorted(arrays):
        content = _npy(arrays[name])
        write_synced(folder / f"{name}.npy", content)
        files[f"{name}.npy"] = FileInfo(len(content), hashlib.sha256(content).hexdigest())
    manifest = BundleManifest.describe(info, files)
    write_synced(folder / MANIFEST, manifest.to_json())
    sync_folder(folder)
    return manifest


def load_bundle(folder: Path) -> ModelBundle:
    """Verify and load a bundle.

    Raises
    ------
    BundleError
        Anything is missing, superfluous, changed, of the wrong type or shape, or not finite.
    """
    try:
        manifest = BundleManifest.from_json(_read(folder / MANIFEST, MAX_MANIFEST_BYTES))
        if unknown := {path.name for path in folder.iterdir()} - manifest.files.keys() - {MANIFEST}:
            raise BundleError(f"{folder}: files that the manifest does not list: {sorted(unknown)}")
        arrays = {name[:-4]: _array(folder / name, file) for name, file in manifest.files.items()}
    except OSError as error:
        raise BundleError(f"{folder}: {error}") from error
    return bundle_of(arrays, manifest)


def bundle_of(arrays: Arrays, manifest: BundleManifest) -> ModelBundle:
    """Bundle over arrays in memory, after the same checks as for files."""
    check_arrays(arrays)
    catalogue = Catalogue.from_arrays(arrays)
    catalogue.check()
    described = manifest.info.sources
    sources = {name: build_source(name, described[name], arrays, catalogue) for name in described}
    if unknown := manifest.info.blend.keys() - sources.keys():
        raise BundleError(f"blend weights for unknown sources {sorted(unknown)}")
    ranker = _ranker(manifest, arrays, catalogue, sources)
    ways, pace = ways_of(arrays, catalogue), build_pace(arrays, catalogue)
    acceptance = build_acceptance(arrays)
    return ModelBundle(manifest, catalogue, sources, arrays, ranker, ways, pace, acceptance)


def _ranker(
    manifest: BundleManifest,
    arrays: Arrays,
    catalogue: Catalogue,
    sources: Mapping[str, CandidateSource],
) -> Ranker | None:
    if manifest.info.ranker is None:
        return None
    # Compiled code comes in only where a bundle needs it, see `recommender.compiled`.
    from recommender.ranker import build_ranker

    return build_ranker(manifest.info.ranker, arrays, catalogue, sources)


def _npy(array: npt.NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _array(path: Path, file: FileInfo) -> npt.NDArray[np.generic]:
    spec_of(path.stem)
    content = _read(path, MAX_ARRAY_BYTES)
    if len(content) != file.bytes:
        raise BundleError(f"{path.name}: {len(content)} bytes; the manifest says {file.bytes}")
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise BundleError(f"{path.name}: sha256 differs from the manifest")
    stream = io.BytesIO(content)
    try:
        array = np.lib.format.read_array(stream, allow_pickle=False)
    except (ValueError, EOFError, MemoryError, SyntaxError, TypeError, OverflowError) as error:
        raise BundleError(f"{path.name}: not an array file: {error}") from error
    if stream.read(1):
        raise BundleError(f"{path.name}: bytes follow the array")
    array.flags.writeable = False
    return array


def _read(path: Path, limit: int) -> bytes:
    # No link is followed: a bundle folder must not be able to name a file outside itself.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise BundleError(f"{path.name}: not a regular file")
        if status.st_size > limit:
            raise BundleError(f"{path.name}: {status.st_size} bytes; accepted: up to {limit}")
        return stream.read()


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and sync it to disk."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that names made or renamed in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
