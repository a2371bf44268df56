"""The model of a worker that shares its pages with others: loaded before the fork, never swapped.

Another model comes with other workers, see `serving.generation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from serving.board import Board
from serving.bundle_source import ServingModel
from serving.telemetry import Metrics

REFUSAL = "refusal"


class ModelSource(Protocol):
    """Where a process has its model from: its own `BundleSource`, or those it was forked from."""

    current: ServingModel

    @property
    def refusal(self) -> str | None:
        """Why the delivered model is not in use; None where nothing was refused."""

    def start(self) -> None:
        """Begin to look for another one."""

    def stop(self) -> None:
        """Look no more."""


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What a worker is given by the process that forks it.

    Parameters
    ----------
    arms
        Models that arms of experiments named at that time, by version.
    news
        Where the supervisor says which delivery it has refused since.
    """

    model: ServingModel
    news: Board
    arms: Mapping[str, ServingModel] = field(default_factory=dict)


class InheritedModel:
    """The model of the worker's generation."""

    def __init__(self, inheritance: Inheritance, metrics: Metrics) -> None:
        self.current = inheritance.model
        self._news = inheritance.news
        self._metrics = metrics

    @property
    def refusal(self) -> str | None:
        """Why a later delivery is not in use."""
        found: str | None = self._news.heard().get(REFUSAL)
        return found

    def start(self) -> None:
        """Say in the metrics which model is in use."""
        self._metrics.bundle.labels(self.current.version).set(1)
        self._metrics.bundle_items.set(self.current.items)

    def stop(self) -> None:
        """Nothing was begun."""
