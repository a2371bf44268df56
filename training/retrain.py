"""Retraining as one idempotent command, for cron: whatever happened to the last one, start this.

lock → bring in what is new → is there anything that the last version has not learnt? → train →
gate → deliver. A run that was killed leaves no verdict on its version, so the next one trains
again; one that was refused has its verdict, so the next one waits for new data.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from feature_store.catalogue import catalogue_digest
from feature_store.ingest_report import IngestReport
from feature_store.source import LOG_FORMAT
from recommender.errors import RefusedError
from training.dataset import known_before
from training.deliver import Delivery, deliver, open_lock
from training.promotion import GATE_TAG
from training.registry import (
    CATALOGUE_DIGEST_TAG,
    CHALLENGER,
    CHAMPION,
    DATA_DIGEST_TAG,
    RegisteredModel,
)
from training.stages import Stages
from training.workflow import LogFile, TrainOutcome, TrainRequest, Workbench, bring_in, train

PROMOTED: Final = "promoted"
REFUSED: Final = "refused"
NOTHING_NEW: Final = "nothing_new"
BUSY: Final = "busy"
EXIT_CODES: Final = {PROMOTED: 0, REFUSED: 1, NOTHING_NEW: 3, BUSY: 4}
_LOCK: Final = "retrain.lock"


@dataclass(frozen=True, slots=True)
class RetrainOutcome:
    """What a retraining did.

    Parameters
    ----------
    outcome
        ``promoted``, ``refused`` (by the gate), ``nothing_new`` or ``busy`` (another one runs).
    ingested
        One report per log that was brought in.
    trained
        None when nothing was trained.
    delivery
        What was done with the champion's bundle; None when there is none or it is held off.
    """

    outcome: str
    ingested: tuple[IngestReport, ...] = ()
    trained: TrainOutcome | None = None
    delivery: Delivery | None = None

    @property
    def exit_code(self) -> int:
        """One per outcome."""
        return EXIT_CODES[self.outcome]


def retrain(request: TrainRequest, bench: Workbench) -> RetrainOutcome:
    """Train if the log has something that the last version has not learnt.

    The service's own log is always brought in, and `request.log` beside it.

    Raises
    ------
    DataError
        As for `training.workflow.train`.
    RegistryError
        MLflow does not answer; nothing is lost, the next run begins where this one did.
    """
    with _alone(request.layout.root) as is_alone:
        if not is_alone:
            return RetrainOutcome(BUSY)
        ingested = _bring_in_all(request, bench)
        last = bench.registry.resolve(CHALLENGER)
        if last is not None and _is_settled(last) and _knows_everything(last, request, bench):
            return RetrainOutcome(NOTHING_NEW, ingested, delivery=_deliver_champion(request, bench))
        trained = train(replace(request, log=None), bench)
        outcome = PROMOTED if trained.promoted else REFUSED
        return RetrainOutcome(outcome, ingested, trained, trained.delivery)


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[bool]:
    root.mkdir(parents=True, exist_ok=True)
    path = root / _LOCK
    path.touch()
    with open_lock(path, wait_seconds=0.0) as is_mine:
        yield is_mine


def _bring_in_all(request: TrainRequest, bench: Workbench) -> tuple[IngestReport, ...]:
    logs = [request.log] if request.log else []
    if request.layout.log.is_dir():
        logs.insert(0, LogFile(request.layout.log, LOG_FORMAT))
    stages = Stages(announce=lambda stage: bench.console.say(f"  {stage} …"))
    reports = (bring_in(replace(request, log=log), stages, bench.console) for log in logs)
    return tuple(report for report in reports if report is not None)


def _is_settled(last: RegisteredModel) -> bool:
    return GATE_TAG in last.tags


def _knows_everything(last: RegisteredModel, request: TrainRequest, bench: Workbench) -> bool:
    if last.tags.get("config_digest") != request.spec.digest:
        return False
    catalogue = catalogue_digest(request.layout, known_before(request.as_of))
    if last.tags.get(CATALOGUE_DIGEST_TAG) != catalogue:
        return False
    with tempfile.TemporaryDirectory(prefix="desirepath-window-") as scratch:
        window = bench.engine.ingest_window(
            request.layout, request.spec, request.as_of, Path(scratch)
        )
    return last.tags.get(DATA_DIGEST_TAG) == window.digest


def _deliver_champion(request: TrainRequest, bench: Workbench) -> Delivery | None:
    """Bring the champion to the service, in case an earlier run was killed before it did."""
    if bench.registry.resolve(CHAMPION) is None:
        return None
    try:
        return deliver(bench.registry, CHAMPION, request.layout.bundles)
    except RefusedError as error:  # rolled back here on purpose: that stands
        bench.console.say(str(error))
        return None
