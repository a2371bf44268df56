"""A circuit breaker: after some failures in a row nobody waits for a dependency any more.

It knows nothing of what it guards. Whoever asks the dependency says how it went; whoever would ask
looks first whether that makes sense. While it is open one prober, and nobody else, tries.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BreakerOptions:
    """When a breaker opens, and how often it is probed.

    Parameters
    ----------
    failures
        In a row, until it opens.
    probe_seconds
        Between two looks at the dependency, open or not, more or less.
    most_seconds
        Probes that fail come more and more rarely, down to one in this time.
    """

    failures: int = 3
    probe_seconds: float = 0.25
    most_seconds: float = 1.0


@dataclass(slots=True)
class Breaker:
    """The state of one dependency, as one event loop or thread sees it.

    Parameters
    ----------
    name
        Of the dependency.
    clock
        Monotonic seconds.
    on_turn
        Told whenever it opens (True) or closes (False).
    """

    name: str
    clock: Callable[[], float]
    options: BreakerOptions = field(default_factory=BreakerOptions)
    on_turn: Callable[[bool], None] = lambda _: None
    is_open: bool = False
    _failures: int = 0
    _since: float = 0.0

    @property
    def is_doubtful(self) -> bool:
        """Whether the last word was a failure, and too few came to open it."""
        return self._failures > 0 and not self.is_open

    def failed(self, why: str) -> None:
        """The dependency did not answer, or too late."""
        self._failures += 1
        if self.is_open or self._failures < self.options.failures:
            return
        self.is_open, self._since = True, self.clock()
        _LOGGER.warning("%s is not asked any more: %s", self.name, why)
        self.on_turn(True)  # noqa: FBT003 - a callback

    def succeeded(self) -> None:
        """The dependency answered in time."""
        self._failures = 0
        if self.is_open:
            self.is_open = False
            _LOGGER.warning("%s is asked again after %.2f s", self.name, self.clock() - self._since)
            self.on_turn(False)  # noqa: FBT003 - a callback

    def pause(self, rng: np.random.Generator) -> float:
        """Seconds until the next probe; random, so that not all processes come at one moment."""
        beyond = max(0, self._failures - self.options.failures)
        most = self.options.probe_seconds * (1 << min(beyond, 10))
        return min(most, self.options.most_seconds) * float(rng.uniform(0.5, 1))
