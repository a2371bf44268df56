"""The shop's experiments in use, and their replacement when a file changes.

A background thread looks at the folder. A file that cannot be used leaves the old state of that
experiment in force; one that is gone leaves it in force as well, since an experiment ends by its
status and not by the loss of its history. Both are said in the log and in the metrics.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from feature_store.experiment_change import Revision, StoredExperiment
from feature_store.experiment_folder import ExperimentFolder
from feature_store.experiment_overlap import check_apart
from feature_store.experiment_parents import check_parents, unusable
from feature_store.experiment_spec import ArmSpec, ExperimentSpec
from recommender.errors import InvalidInputError
from recommender.experiment import Experiment
from recommender.placement_overrides import overridden
from recommender.placements import Placement
from serving.arm_models import ArmModels
from serving.telemetry import Metrics
from serving.watcher import Watcher

logger = logging.getLogger(__name__)
MAX_POLL_SECONDS = 2.0  # a kill switch acts within five seconds, whatever the settings say
Signature = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class LiveExperiment:
    """One experiment, ready to be asked."""

    key: str
    revision: Revision
    experiment: Experiment
    etag: str

    @property
    def spec(self) -> ExperimentSpec:
        """What is in force."""
        return self.revision.spec


@dataclass(frozen=True, slots=True)
class LiveExperiments:
    """All experiments at one moment; frozen, so that one assignment swaps them.

    Parameters
    ----------
    running
        Placement → the running experiments there, in the order of their keys.
    """

    by_key: Mapping[str, LiveExperiment] = field(default_factory=lambda: MappingProxyType({}))
    running: Mapping[str, tuple[LiveExperiment, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    _changed: dict[tuple[str, tuple[tuple[str, str], ...]], Placement] = field(default_factory=dict)

    def placement(self, base: Placement, arms: Iterable[tuple[str, ArmSpec]]) -> Placement:
        """A placement as some arms want it; worked out once for each combination."""
        changing = [(key, arm) for key, arm in arms if arm.placement]
        if not changing:
            return base
        name = (base.name, tuple((key, arm.key) for key, arm in changing))
        if (known := self._changed.get(name)) is None:
            known = base
            for _, arm in changing:
                known = overridden(known, arm.placement)
            self._changed[name] = known
        return known


class ExperimentSource:
    """Keeps the experiments of a folder in use.

    Parameters
    ----------
    models
        Told which bundles running arms name.
    """

    def __init__(
        self,
        folder: ExperimentFolder,
        placements: Mapping[str, Placement],
        models: ArmModels,
        poll_seconds: float,
        metrics: Metrics,
    ) -> None:
        self.folder = folder
        self.models = models
        self.current = LiveExperiments()
        self.refused: Mapping[str, str] = {}
        self._placements = placements
        self._metrics = metrics
        self._signature: Signature | None = None
        self._polling = threading.Lock()
        seconds = min(poll_seconds, MAX_POLL_SECONDS)
        self._watcher = Watcher(self.poll, seconds, "experiment-source")
        self.models_watcher = Watcher(self.poll_models, seconds, "arm-models")

    def start(self) -> None:
        """Begin to watch, in threads of their own: a bundle that loads must not delay a stop."""
        self._watcher.start()
        self.models_watcher.start()

    def stop(self) -> None:
        """End the threads."""
        self._watcher.stop()
        self.models_watcher.stop()

    def poll(self) -> None:
        """Look once, and read what is new. Failures are kept in `refused`."""
        with self._polling:
            signature = self._stat()
            if signature == self._signature:
                return
            self._signature = signature
            self._read()

    def poll_models(self) -> None:
        """Load what running arms name, and drop what none names any more."""
        live = self.current.by_key.values()
        running = [each.spec for each in live if each.spec.status in ("running", "paused")]
        self.models.poll(arm for spec in running for arm in spec.arms)

    def change(
        self, key: str, change: Callable[[StoredExperiment | None], StoredExperiment]
    ) -> StoredExperiment:
        """Change an experiment's file, and have it in use here when this returns.

        Raises as `ExperimentFolder.change`, `check`, `check_apart` and `check_parents`.
        """

        def checked(stored: StoredExperiment | None) -> StoredExperiment:
            changed = change(stored)
            if changed is not stored:
                self.check(changed)
                others = self.folder.read_all().found.values()
                check_apart(changed, others)
                check_parents(changed, others)
            return changed

        result = self.folder.change(key, checked)
        self.poll()
        return result

    def check(self, stored: StoredExperiment) -> None:
        """Raise `ConfigError` where arms do not fit the placements of this service."""
        spec = stored.spec
        if unknown := sorted(set(spec.placements) - self._placements.keys()):
            known = ", ".join(sorted(self._placements))
            raise InvalidInputError(f"placements {unknown}; accepted: {known}")
        for placement in self._placements.values():
            if spec.runs_at(placement.name):
                for arm in spec.arms:
                    overridden(placement, arm.placement)

    def _read(self) -> None:
        read, before = self.folder.read_all(), self.current.by_key
        refused, live = dict(read.refused), {}
        for key, stored in read.found.items():
            try:
                live[key] = self._live(stored, before.get(key))
            except InvalidInputError as error:
                refused[key] = f"{error}"
        for key in before.keys() - live.keys():
            refused.setdefault(key, "its file is gone; an experiment ends by its status")
            live[key] = before[key]
        _settle(live, before, refused)
        self._put_in_use(live, refused)

    def _live(self, stored: StoredExperiment, before: LiveExperiment | None) -> LiveExperiment:
        etag = stored.etag
        if before is not None and before.etag == etag:
            return before
        self.check(stored)
        return LiveExperiment(stored.key, stored.current, stored.experiment, etag)

    def _put_in_use(self, live: dict[str, LiveExperiment], refused: dict[str, str]) -> None:
        before = self.current.by_key
        live = dict(sorted(live.items()))
        running = {
            name: tuple(
                each for each in live.values() if each.spec.is_running and each.spec.runs_at(name)
            )
            for name in self._placements
        }
        running = {name: those for name, those in running.items() if those}
        self.current, self.refused = LiveExperiments(live, running), refused
        for key, each in live.items():
            if key not in before or before[key].etag != each.etag:
                _announce(each, before.get(key))
        for key, reason in refused.items():
            logger.error("experiment %s refused: %s", key, reason)
        self._metrics.experiments_refused.set(len(refused))
        self._metrics.experiments_running.set(sum(e.spec.is_running for e in live.values()))

    def _stat(self) -> Signature:
        found = []
        for path in self.folder.files():
            try:
                status = path.stat()
            except OSError:
                continue
            found.append((path.name, status.st_ino, status.st_mtime_ns, status.st_size))
        return tuple(found)


def _settle(
    live: dict[str, LiveExperiment], before: Mapping[str, LiveExperiment], refused: dict[str, str]
) -> None:
    """Leave out what waits for itself or for nobody; what was in force stays where it can."""
    while bad := unusable({key: each.spec for key, each in live.items()}):
        changed = {key for key in bad.keys() & before.keys() if live[key] is not before[key]}
        for key in changed or bad:
            refused[key] = bad[key]
            live.pop(key)
        live |= {key: before[key] for key in changed}


def _announce(each: LiveExperiment, before: LiveExperiment | None) -> None:
    said = {
        "experiment": each.key,
        "revision": each.revision.number,
        "status": each.spec.status,
        "was": before.spec.status if before else None,
        "phase": each.revision.phase,
        "by": each.revision.by,
    }
    logger.info("experiment in use", extra=said)


def build_experiments(
    root: Path,
    models: ArmModels,
    placements: Mapping[str, Placement],
    poll_seconds: float,
    metrics: Metrics,
) -> ExperimentSource:
    """The experiments of a folder, read, with the models of their arms loaded."""
    source = ExperimentSource(ExperimentFolder(root), placements, models, poll_seconds, metrics)
    source.poll()
    source.poll_models()
    return source
