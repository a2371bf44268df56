"""The model in use, and its replacement while requests go on, where one process serves alone.

Several workers share a model instead, see `serving.generation`.

A background thread looks at the pointer of the bundle folder. A new version is verified, loaded
and asked canary questions before one assignment puts it in use; a request takes the reference
once, so it never sees two versions. Whatever goes wrong, the old one stays.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from recommender.bundle import MANIFEST, ModelBundle, bundle_of, load_bundle
from recommender.bundle_folder import POINTER, VERSION, Pointer, read_pointer
from recommender.bundle_manifest import BundleInfo, BundleManifest
from recommender.catalogue import catalogue_arrays
from recommender.errors import BundleError
from recommender.exposures import DAY_MICROS, Exposure, IgnoredLists
from recommender.pace_table import PaceStyle, PaceTable
from recommender.pipeline import recommend
from recommender.placements import Placement
from recommender.policy import TopPolicy
from recommender.query import Interaction, Query, Visit
from recommender.terms import KINDS, MICROS_PER_SECOND, MODES, PURCHASE, VIEW_ITEM
from serving.telemetry import Metrics
from serving.watcher import Watcher

logger = logging.getLogger(__name__)
CANARY_MOMENT = datetime(2001, 1, 1, tzinfo=UTC)
CANARY_LIMIT = 10
NO_MODEL = "none"
Signature = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ServingModel:
    """One model and how to name it; frozen, so that one assignment swaps all of it."""

    bundle: ModelBundle
    version: str

    @property
    def is_loaded(self) -> bool:
        """False for the stand-in of a shop that has no model yet."""
        return self.version != NO_MODEL

    @property
    def items(self) -> int:
        """Items that may be shown."""
        return int(np.count_nonzero(self.bundle.catalogue.item_available))


class BundleSource:
    """Keeps the delivered model in use.

    Parameters
    ----------
    root
        Folder of delivered bundles.
    placements
        Every one of them is asked by the canary.
    """

    def __init__(
        self, root: Path, placements: Mapping[str, Placement], poll_seconds: float, metrics: Metrics
    ) -> None:
        self._root = root
        self._placements = placements
        self._watcher = Watcher(self.poll, poll_seconds, "bundle-source")
        self._metrics = metrics
        self._tried: Signature | None = None
        self.current = ServingModel(empty_bundle(), NO_MODEL)
        self.refusal: str | None = None

    def load_first(self) -> None:
        """Load the delivered model, or the last good one before it, or go on without."""
        self.poll()
        if self.current.is_loaded:
            return
        refusal = self.refusal
        for version in self._older_versions():
            if self._try(version):
                logger.warning("an earlier bundle is in use", extra={"version": version})
                self.refusal = refusal
                self._metrics.bundle_refused.set(1)
                return

    def start(self) -> None:
        """Begin to watch, in a thread of its own."""
        self._announce(self.current.version)
        self._watcher.start()

    def stop(self) -> None:
        """End the thread."""
        self._watcher.stop()

    def poll(self) -> None:
        """Look once, and load what is new. A failure is kept in `refusal`."""
        signature = signature_of(self._root)
        if signature == self._tried:
            return
        self._tried = signature
        try:
            pointer = read_pointer(self._root)
        except BundleError as error:
            return self._refuse(POINTER, error)
        if pointer is None:
            return None
        if pointer.version == self.current.version:
            return self._accept(self.current)
        self._try(pointer.version)
        return None

    def _try(self, version: str) -> bool:
        try:
            bundle = load_checked(self._root, version, self._placements.values())
        except BundleError as error:
            self._refuse(version, error)
            return False
        except Exception as error:  # noqa: BLE001 - whatever a hostile folder provokes, the old model stays
            self._refuse(version, BundleError(f"unexpected {type(error).__name__}: {error}"))
            return False
        self._metrics.bundle_swaps.labels("accepted").inc()
        self._accept(ServingModel(bundle, version))
        return True

    def _accept(self, model: ServingModel) -> None:
        previous, self.current = self.current, model
        self.refusal = None
        self._metrics.bundle_refused.set(0)
        if previous is not model:
            self._announce(previous.version)
            logger.info("bundle in use", extra={"version": model.version, "items": model.items})

    def _refuse(self, version: str, error: BundleError) -> None:
        self.refusal = f"{version}: {error}"
        self._metrics.bundle_swaps.labels("refused").inc()
        self._metrics.bundle_refused.set(1)
        kept = {"version": version, "kept": self.current.version, "reason": str(error)}
        logger.error("bundle refused", extra=kept)

    def _announce(self, previous: str) -> None:
        if previous != self.current.version:
            self._metrics.bundle.labels(previous).set(0)
        self._metrics.bundle.labels(self.current.version).set(1)
        self._metrics.bundle_items.set(self.current.items)

    def _older_versions(self) -> list[str]:
        try:
            pointer = read_pointer(self._root) or Pointer("")
            return list(pointer.previous)
        except BundleError:
            folders = [path for path in self._root.iterdir() if VERSION.fullmatch(path.name)]
            folders.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
            return [path.name for path in folders]


def signature_of(root: Path) -> Signature:
    """What changes whenever another version is pointed at, or the one pointed at is replaced."""
    # The pointer's text is part of it: within one clock tick a pointer may be replaced twice.
    parts: list[int] = []
    try:
        parts.append(hash((root / POINTER).read_bytes()))
    except OSError:
        return ()
    for path in (root / POINTER, root / _pointed(root) / MANIFEST):
        try:
            status = path.stat()
            parts += (status.st_ino, status.st_mtime_ns, status.st_size)
        except OSError:
            parts.append(0)
    return tuple(parts)


def _pointed(root: Path) -> str:
    try:
        pointer = read_pointer(root)
    except BundleError:
        return ""
    return pointer.version if pointer else ""


def load_checked(root: Path, version: str, placements: Iterable[Placement]) -> ModelBundle:
    """A delivered bundle that verifies and answers the canary questions. Raises `BundleError`."""
    bundle = load_bundle(root / version)
    if bundle.version != version:
        raise BundleError(f"folder {version} holds version {bundle.version}")
    ask_canaries(bundle, placements)
    return bundle


def ask_canaries(bundle: ModelBundle, placements: Iterable[Placement]) -> None:
    """Ask a model some questions before anybody else does.

    This also compiles every kernel that an answer may need: a stranger, a visit that has just
    begun, and one at a pace, by somebody who was here before and ignored something.

    Raises
    ------
    BundleError
        An answer is empty though there are items, repeats one or has a score that is not finite.
    """
    available = bundle.catalogue.item_available
    popular = bundle.catalogue.popular_order
    shown = popular[available[popular]][:CANARY_LIMIT]
    items = tuple(map(bundle.catalogue.ids.id, shown.tolist()))
    expects_items = int(available.sum()) > len(items[:2])
    for placement in placements:
        for session in ((), _viewed(items[:2])):
            first = tuple(each.item_id for each in session[:1])
            query = Query(
                CANARY_MOMENT, placement.name, CANARY_LIMIT, session=session, context_items=first
            )
            _ask_canary(bundle, placement, query, expects_items=expects_items)
        # Whatever the pace is found to be, the page is to have so many new items.
        novel = PaceTable(0.0, dict.fromkeys(MODES, PaceStyle(novelty_at_most=0.5)))
        paced = replace(placement, pace=novel)
        # What is excluded may be all there is: this one may be left without an item.
        _ask_canary(bundle, paced, _paced_query(placement, items), expects_items=False)


def _viewed(items: Sequence[str], start: int = 0) -> tuple[Interaction, ...]:
    """Views of items, half a minute apart."""
    step = 30 * MICROS_PER_SECOND
    return tuple(Interaction(each, VIEW_ITEM, start + n * step) for n, each in enumerate(items))


def _paced_query(placement: Placement, items: Sequence[str]) -> Query:
    now = round(CANARY_MOMENT.timestamp()) * MICROS_PER_SECOND
    session = _viewed(items[:5], now - 600 * MICROS_PER_SECOND)
    before = now - 30 * DAY_MICROS
    bought = [Interaction(each, PURCHASE, before) for each in items[2:3]]
    ignored = [Exposure(each, 1, 1, 1, now - MICROS_PER_SECOND) for each in items[5:7]]
    return Query(
        CANARY_MOMENT,
        placement.name,
        CANARY_LIMIT,
        history=(*_viewed(items[1:3], before - DAY_MICROS), *bought),
        session=session,
        visit=Visit(session, frozenset(items[1:3])),
        context_items=tuple(items[:1]),
        cart_items=tuple(items[3:4]),
        exposures=tuple(ignored),
        ignored_lists=IgnoredLists(1, 1),
        kinds=KINDS,
        diversity=0.5,
        seed=0,
    )


def _ask_canary(
    bundle: ModelBundle, placement: Placement, query: Query, *, expects_items: bool
) -> None:
    slate = recommend(query, bundle, placement, TopPolicy())
    shown = [item.item_id for item in slate.items if item.item_id]
    if not shown and expects_items and placement.ladder:
        raise BundleError(f"canary at {placement.name}: no item, though items are available")
    if len(set(shown)) != len(shown) or not all(math.isfinite(item.score) for item in slate.items):
        raise BundleError(f"canary at {placement.name}: items repeat or scores are not finite")


def empty_bundle() -> ModelBundle:
    """A model of no items: what a shop has before its first training."""
    info = BundleInfo(
        window_start="",
        window_end="",
        data_digest="",
        config={},
        config_digest="",
        libraries={},
        sources={},
        blend={},
        event_weights={},
        seed_half_life_seconds=1.0,
    )
    arrays = catalogue_arrays([], np.zeros(0, np.float32))
    return bundle_of(arrays, BundleManifest.describe(info, {}))
