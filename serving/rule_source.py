"""The shop's rules in use, and their replacement when the file changes.

A background thread looks at the file. A new version is read and checked before one assignment puts
it in use; whatever is wrong with it, the old one stays.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recommender.bundle import ModelBundle
from recommender.errors import ConfigError
from recommender.merchandising.active import BoundRules, bind
from recommender.merchandising.findings import findings
from recommender.merchandising.rules_file import read_rules
from recommender.merchandising.shop_rules import ShopRules
from recommender.placements import Placement
from serving.telemetry import Metrics
from serving.watcher import Watcher

logger = logging.getLogger(__name__)
Signature = tuple[int, int, int] | None
KEPT_BINDINGS = 4  # the model in use, and those of arms of experiments


@dataclass(frozen=True, slots=True)
class RulesInUse:
    """Rules and the text that they were read from; frozen, so that one assignment swaps both."""

    rules: ShopRules
    text: str


class RuleSource:
    """Keeps the rules of a file in use.

    Parameters
    ----------
    placements
        Those that rules may name.

    Raises
    ------
    ConfigError
        The file cannot be used. A later change that cannot be used leaves the old rules in force.
    """

    def __init__(
        self, path: Path, placements: Mapping[str, Placement], poll_seconds: float, metrics: Metrics
    ) -> None:
        self._path = path
        self._placements = placements
        self._watcher = Watcher(self.poll, poll_seconds, "rule-source")
        self._metrics = metrics
        self._signature = self._stat()
        self.current = RulesInUse(*read_rules(path, placements))
        self.refusal: str | None = None
        self._bound: tuple[BoundRules, ...] = ()
        self._announce("")

    def bound_to(self, bundle: ModelBundle) -> BoundRules:
        """The rules in use, ready for the items of a model; made ready at the first question."""
        rules, catalogue = self.current.rules, bundle.catalogue
        for bound in self._bound:
            if bound.rules is rules and bound.catalogue is catalogue:
                return bound
        bound = bind(rules, catalogue)
        self._bound = (bound, *self._bound[: KEPT_BINDINGS - 1])
        for finding in findings(rules, self._placements, catalogue):
            logger.warning("shop rules: %s", finding)
        return bound

    def start(self) -> None:
        """Begin to watch, in a thread of its own."""
        self._watcher.start()

    def stop(self) -> None:
        """End the thread."""
        self._watcher.stop()

    def poll(self) -> None:
        """Look once, and read what is new. A failure is kept in `refusal`."""
        signature = self._stat()
        if signature == self._signature:
            return
        self._signature = signature
        try:
            read = RulesInUse(*read_rules(self._path, self._placements))
        except ConfigError as error:
            self.refusal = f"{error}"
            self._metrics.rules_refused.set(1)
            self._metrics.rules_reloads.labels("refused").inc()
            kept = {"kept": self.current.rules.version, "reason": self.refusal}
            logger.error("rules file refused", extra=kept)  # noqa: TRY400 - the reason is said
            return
        previous, self.current = self.current.rules.version, read
        self.refusal = None
        self._metrics.rules_reloads.labels("accepted").inc()
        self._announce(previous)
        logger.info("rules in use", extra={"version": read.rules.version})

    def _announce(self, previous: str) -> None:
        version = self.current.rules.version
        if previous and previous != version:
            self._metrics.rules.labels(previous).set(0)
        self._metrics.rules.labels(version).set(1)
        self._metrics.rules_refused.set(0)

    def _stat(self) -> Signature:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return (status.st_ino, status.st_mtime_ns, status.st_size)
