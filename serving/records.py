"""Decision records on their way to the log."""

from __future__ import annotations

from dataclasses import dataclass, field

from feature_store.intake import Intake
from feature_store.records import DecisionRecord
from serving.telemetry import Metrics


@dataclass(slots=True)
class Records:
    """Hands records to the operating system, those of one turn together.

    An answer does not fail because its record cannot be kept: the loss is counted, and shows as a
    gap in the sequence.
    """

    intake: Intake
    metrics: Metrics
    _waiting: list[DecisionRecord] = field(default_factory=list)

    def add(self, record: DecisionRecord) -> None:
        """Have a record written with the others of its turn; whoever adds it, sees to `write`."""
        self._waiting.append(record)

    def write(self) -> None:
        """Write what was added; the answers may leave."""
        records, self._waiting = self._waiting, []
        if not records:
            return
        lost = self.intake.record_all(records).count(None)
        self.metrics.decided.add(len(records) - lost)
        if lost:
            self.metrics.decisions_lost.inc(lost)
