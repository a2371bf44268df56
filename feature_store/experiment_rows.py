"""Which answers of the log belong to an experiment, and which of them nobody may count.

Light enough for the service: no frames, one pass over the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from feature_store.erasures import RECORD, subject_of
from feature_store.records import AssignmentRecord, DecisionRecord, LogRecord

FORCED: Final = "forced"


def assigned(record: LogRecord, key: str) -> Iterator[AssignmentRecord]:
    """The assignments of a record to an experiment; none of an event."""
    if isinstance(record, DecisionRecord):
        yield from (each for each in record.assignments if each.experiment == key)


def reason_left_out(
    record: DecisionRecord, assignment: AssignmentRecord, erased: Mapping[str, int]
) -> str | None:
    """Why an answer is left out of every count; None where it takes part.

    Parameters
    ----------
    erased
        `feature_store.erasures.Erasures.subjects`.
    """
    if not assignment.in_experiment:
        return "does not take part"
    if record.qa or assignment.assigned_by == FORCED:
        return "forced, or marked qa"
    if not record.subject_key:
        return "nobody in particular"
    if erased and erased.get(subject_of(RECORD, record.subject_key), 0) >= record.ts_server:
        return "erased"
    return None
