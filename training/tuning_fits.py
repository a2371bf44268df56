"""Fits that several trials need, made once: an engine that remembers what it was asked.

A fit is remembered under everything that shapes it and nothing else; a trial that turns one knob
repeats only what that knob touches. Of each kind the last few are kept, files in a folder of their
own, so that a long search fills no disk.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
from scipy import sparse

from feature_store.layout import StoreLayout
from training.engine import Engine, EventWindow, Key, Period
from training.models.als import Factors
from training.spec import TrainingSpec

KEPT = 8
# What `training.models.covisitation.neighbour_lists` does after the counting.
_AFTER_COUNTING = ("popularity_damping", "smoothing", "seed_events")

T = TypeVar("T")


class SharedFits:
    """Wraps an engine; see `training.engine.Engine` for the operations.

    Parameters
    ----------
    shared
        How often an answer was remembered.
    """

    def __init__(self, inner: Engine) -> None:
        self.inner = inner
        self.shared = 0
        self._kept: dict[str, OrderedDict[str, Any]] = {}

    @property
    def libraries(self) -> Mapping[str, str]:
        """Those of the engine."""
        return self.inner.libraries

    def ingest_window(
        self, layout: StoreLayout, spec: TrainingSpec, as_of: int | None, workspace: Path
    ) -> EventWindow:
        """Not remembered: a search reads its window once."""
        return self.inner.ingest_window(layout, spec, as_of, workspace)

    def visits(
        self,
        layout: StoreLayout,
        window: EventWindow,
        spec: TrainingSpec,
        period: Period,
        workspace: Path,
    ) -> Path:
        """Not remembered: a search asks for no journeys."""
        return self.inner.visits(layout, window, spec, period, workspace)

    def interactions(
        self, window: EventWindow, spec: TrainingSpec, until: int, workspace: Path
    ) -> Path:
        """Remembered by event weights and the half-life of seeds."""
        key = [window.digest, until, spec.event_weights, spec.seeds.half_life_days]
        return self._in_folder(
            "interactions",
            key,
            workspace,
            lambda folder: self.inner.interactions(window, spec, until, folder),
        )

    def neighbour_counts(
        self, window: EventWindow, spec: TrainingSpec, pair: str, until: int, workspace: Path
    ) -> Path:
        """Remembered by how far and how long one event of the pair reaches the next."""
        reach = asdict(spec.covisitation.pair(pair))
        for name in _AFTER_COUNTING:
            del reach[name]
        limits = [spec.covisitation.max_basket, spec.session.max_steps]
        return self._in_folder(
            pair,
            [window.digest, until, reach, limits],
            workspace,
            lambda folder: self.inner.neighbour_counts(window, spec, pair, until, folder),
        )

    def join_as_of(
        self, window: EventWindow, questions: pl.DataFrame, by: Key, depth: int, workspace: Path
    ) -> Path:
        """Remembered by the questions."""
        asked = questions.select("question", by, "at").write_ipc(None).getvalue()
        return self._in_folder(
            f"as_of_{by}",
            [window.digest, depth, hashlib.sha256(asked).hexdigest()],
            workspace,
            lambda folder: self.inner.join_as_of(window, questions, by, depth, folder),
        )

    def factorise(self, user_items: sparse.csr_array, spec: TrainingSpec) -> Factors:
        """Remembered by the weights and the section of the specification."""
        content = hashlib.sha256()
        for part in (user_items.indptr, user_items.indices, user_items.data):
            content.update(part.tobytes())
        key = [user_items.shape, content.hexdigest(), asdict(spec.als)]
        return self._once("als", key, lambda: self.inner.factorise(user_items, spec))

    def _in_folder(
        self, kind: str, key: object, workspace: Path, make: Callable[[Path], Path]
    ) -> Path:
        """Make a file in a folder of its own, which goes when the file is forgotten."""
        folder = workspace / f"{kind}-{_digest(key)}"

        def into_folder() -> Path:
            folder.mkdir()
            return make(folder)

        return self._once(kind, key, into_folder)

    def _once(self, kind: str, key: object, make: Callable[[], T]) -> T:
        kept = self._kept.setdefault(kind, OrderedDict())
        name = _digest(key)
        if name in kept:
            self.shared += 1
            kept.move_to_end(name)
            found: T = kept[name]
            return found
        kept[name] = made = make()
        if len(kept) > KEPT:
            _, oldest = kept.popitem(last=False)
            if isinstance(oldest, Path):
                shutil.rmtree(oldest.parent)
        return made


def _digest(key: object) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
