"""Everything that a request can reach, built once when the process starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from feature_store.intake import Intake
from feature_store.online.erase import Eraser
from feature_store.online.follower import LogFollower
from feature_store.online.store import OnlineStore
from feature_store.online.visitors import Visitors
from feature_store.pseudonyms import Pseudonyms
from recommender.exploration import ExploringPolicy
from recommender.placements import Placement
from recommender.policy import SlatePolicy
from serving.experiment_source import ExperimentSource
from serving.inherited_model import ModelSource
from serving.key_source import KeySource
from serving.limits import Gate
from serving.lookup import Lookup
from serving.records import Records
from serving.rule_source import RuleSource
from serving.settings import Settings
from serving.telemetry import Metrics
from serving.turns import Turns


@dataclass(slots=True)
class ServiceState:
    """The parts of a running service.

    Parameters
    ----------
    clock
        Microseconds since the epoch, UTC.
    new_id
        Makes recommendation ids.
    requests
        How many may be under way at a time.
    turns
        Who waits for the pipeline.
    lookup, follower
        Where the online store is another process: what asks it, and what keeps it in step with the
        log. None where it is a file of our own.
    looks
        How many may read the whole log at a time.
    is_draining
        The process has been told to stop and takes leave of its callers.
    is_retiring
        The process makes way for its successor: its callers are asked to connect again.
    """

    settings: Settings
    clock: Callable[[], int]
    new_id: Callable[[], str]
    placements: Mapping[str, Placement]
    models: ModelSource
    rules: RuleSource
    experiments: ExperimentSource
    store: OnlineStore
    visitors: Visitors
    intake: Intake
    eraser: Eraser
    keys: KeySource
    pseudonyms: Pseudonyms
    metrics: Metrics
    records: Records
    requests: Gate
    turns: Turns
    looks: Gate = field(default_factory=lambda: Gate(1, "looks at the whole log"))
    policy: SlatePolicy = field(default_factory=ExploringPolicy)
    lookup: Lookup | None = None
    follower: LogFollower | None = None
    code_version: str = ""
    is_draining: bool = False
    is_retiring: bool = False

    @property
    def is_leaving(self) -> bool:
        """Callers are asked to connect anew, here or elsewhere."""
        return self.is_draining or self.is_retiring


def code_version() -> str:
    """Version of the installed package."""
    try:
        return version("desirepath")
    except PackageNotFoundError:
        return "uninstalled"
