"""The models that arms of experiments ask for, beside the one in use.

Few at a time, each verified, loaded and asked canary questions in the watching thread, never while
a request waits. An arm whose model is not there stays an arm: its requests are answered by the
model in use, and say so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from feature_store.experiment_spec import CHALLENGER, CHAMPION, ArmSpec
from recommender.bundle import MANIFEST, ModelBundle
from recommender.bundle_folder import CHALLENGER_POINTER, read_pointer
from recommender.errors import BundleError
from recommender.placements import Placement
from serving.bundle_source import ServingModel, load_checked
from serving.inherited_model import ModelSource

logger = logging.getLogger(__name__)


class ArmModels:
    """Keeps loaded what running arms name.

    Parameters
    ----------
    most
        Models beside the one in use, at most.

    Attributes
    ----------
    held
        What is loaded, by version. A worker is given what was loaded before it was forked, so that
        these pages are shared, too.
    """

    def __init__(
        self, root: Path, models: ModelSource, placements: Mapping[str, Placement], most: int
    ) -> None:
        self._root = root
        self._models = models
        self._placements = placements
        self._most = most
        self._failed: dict[str, int] = {}
        self.held: Mapping[str, ServingModel] = {}
        self._challenger: str | None = None
        self._blended: dict[ArmKey, tuple[ServingModel, ServingModel]] = {}
        self.refused: Mapping[str, str] = {}

    def poll(self, arms: Iterable[ArmSpec]) -> None:
        """Load what is named and new, drop what is named no more. What fails is in `refused`."""
        arms = list(arms)
        refused: dict[str, str] = {}
        self._challenger = self._challenger_version() if arms else None
        named = (self._version(arm) for arm in arms)
        wanted = list(dict.fromkeys(version for version in named if version))
        loaded: dict[str, ServingModel] = {}
        for version in wanted:
            current = self._models.current
            if version == current.version:  # kept when another one comes into use
                loaded[version] = current
            elif sum(each is not current for each in loaded.values()) >= self._most:
                refused[version] = f"{self._most} models are loaded beside the one in use, at most"
            elif model := self.held.get(version) or self._load(version, refused):
                loaded[version] = model
        self.held, self.refused = loaded, refused
        kept = {id(each) for each in (*loaded.values(), self._models.current)}
        self._blended = {key: pair for key, pair in self._blended.items() if id(pair[0]) in kept}

    def model(self, key: ArmKey, arm: ArmSpec, champion: ServingModel) -> ServingModel | None:
        """The model of an arm; None where it is not loaded or cannot be blended so."""
        base: ServingModel | None = champion
        if arm.bundle != CHAMPION:
            base = self.loaded(self._version(arm) or "")
        if base is None or not (arm.blend or not arm.ranker):
            return base
        return self._as_blended(key, arm, base)

    def loaded(self, version: str) -> ServingModel | None:
        """A model by its version, if it is in use or stands beside."""
        current = self._models.current
        return current if version == current.version else self.held.get(version)

    def _as_blended(self, key: ArmKey, arm: ArmSpec, base: ServingModel) -> ServingModel | None:
        known = self._blended.get(key)
        if known is None or known[0] is not base:
            if arm.blend.keys() - base.bundle.sources.keys():
                return None
            known = self._blended[key] = (base, replace(base, bundle=blended(base.bundle, arm)))
        return known[1]

    def _version(self, arm: ArmSpec) -> str | None:
        return {CHAMPION: None, CHALLENGER: self._challenger}.get(arm.bundle, arm.bundle)

    def _challenger_version(self) -> str | None:
        try:
            pointer = read_pointer(self._root, CHALLENGER_POINTER)
        except BundleError as error:
            logger.warning("the challenger cannot be told: %s", error)
            return self._challenger
        return pointer.version if pointer else None

    def _load(self, version: str, refused: dict[str, str]) -> ServingModel | None:
        stamp = _stamp(self._root / version / MANIFEST)
        if self._failed.get(version) == stamp:
            refused[version] = self.refused.get(version, "it was refused before")
            return None
        try:
            bundle = load_checked(self._root, version, self._placements.values())
        except Exception as error:  # noqa: BLE001 - whatever a hostile folder provokes, others go on
            self._failed[version] = stamp
            refused[version] = f"{error}"
            logger.warning("the bundle %s of an arm is refused: %s", version, error)
            return None
        logger.info("an arm's bundle is loaded", extra={"version": version})
        return ServingModel(bundle, version)


ArmKey = tuple[str, str]


def blended(bundle: ModelBundle, arm: ArmSpec) -> ModelBundle:
    """A bundle whose sources weigh otherwise, or whose candidates no ranker orders."""
    weights = arm.blend or bundle.manifest.info.blend
    ranker = bundle.ranker if arm.ranker else None
    if ranker is not None and arm.blend:
        ranker = replace(ranker, shortlist=arm.blend)
    manifest = replace(bundle.manifest, info=replace(bundle.manifest.info, blend=weights))
    return replace(bundle, manifest=manifest, ranker=ranker)


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
