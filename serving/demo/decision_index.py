"""Decision records of the last answers, read back from the durable log itself."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from feature_store.event_log import LogReader
from feature_store.records import DecisionRecord

KEPT = 2000


class DecisionIndex:
    """Finds a record by its id; each look reads only what was written since the last one.

    Parameters
    ----------
    folder
        ``StoreLayout.log``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._positions: dict[str, int] = {}
        self._records: OrderedDict[str, DecisionRecord] = OrderedDict()

    def find(self, decision_id: str) -> DecisionRecord | None:
        """The record, or None where it is not among the last ones."""
        if decision_id not in self._records:
            self._read_on()
        return self._records.get(decision_id)

    def _read_on(self) -> None:
        reader = LogReader(self._folder, self._positions)
        for entry in reader:
            if isinstance(entry.record, DecisionRecord):
                self._records[entry.record.decision_id] = entry.record
                if len(self._records) > KEPT:
                    self._records.popitem(last=False)
        self._positions = reader.positions
