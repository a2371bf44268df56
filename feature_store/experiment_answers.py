"""The answers that take part in an experiment, from the durable log: one row per decision.

Stage of the flow: log → **answers of an experiment** → units → reading. Every answer of the
experiment is counted: kept, or left out with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from feature_store.erasures import Erasures
from feature_store.event_log import LogReader
from feature_store.experiment_rows import assigned, reason_left_out
from feature_store.layout import StoreLayout
from feature_store.records import AssignmentRecord, DecisionRecord
from recommender.errors import DataError

DECISION_ID: Final = "decision_id"
SUBJECT_TYPE: Final = "subject_type"
SUBJECT_KEY: Final = "subject_key"
VARIANT: Final = "variant"
PHASE: Final = "phase"
ANSWERED_AT: Final = "answered_at"
SUBJECT: Final = (SUBJECT_TYPE, SUBJECT_KEY)

SCHEMA: Final = pl.Schema(
    {
        DECISION_ID: pl.String(),
        SUBJECT_TYPE: pl.String(),
        SUBJECT_KEY: pl.String(),
        VARIANT: pl.String(),
        PHASE: pl.Int64(),
        ANSWERED_AT: pl.Int64(),
        "p_arm": pl.Float64(),
        "request_id": pl.String(),
        "device": pl.String(),
        "served_level": pl.String(),
        "model_version": pl.String(),
        "is_degraded": pl.Boolean(),
        "is_empty": pl.Boolean(),
        "latency_ms": pl.Float64(),
        "changed_share": pl.Float64(),
        "item_ids": pl.List(pl.String()),
    }
)


@dataclass(frozen=True, slots=True)
class ExperimentAnswers:
    """Answers of one experiment.

    Parameters
    ----------
    frame
        `SCHEMA`, by time and decision; times in microseconds since the epoch.
    counts
        Answers of the experiment in the log, kept, and left out by reason.
    """

    frame: pl.DataFrame
    counts: Mapping[str, int]


def read_experiment_answers(
    layout: StoreLayout, key: str, until: int | None = None
) -> ExperimentAnswers:
    """Read the answers of an experiment that left before a moment.

    Left out and counted: answers to those who do not take part; answers in a forced arm or marked
    as a trial (``qa``), which nobody chose at random; answers to nobody in particular, whose
    outcomes cannot be known; repeated records; and answers to shoppers who were erased since.

    Raises
    ------
    DataError
        The log has no answer of this experiment.
    """
    counts: Counter[str] = Counter()
    rows = [_row(*each) for each in kept_answers(layout, key, until, counts)]
    if not counts:
        raise DataError(f"{layout.log} holds no answer of experiment {key!r}")
    counts["answers of the experiment"] = counts.total()
    counts["answers kept"] = len(rows)
    frame = pl.DataFrame(rows, SCHEMA, orient="row").sort(ANSWERED_AT, DECISION_ID)
    return ExperimentAnswers(frame, dict(counts))


def kept_answers(
    layout: StoreLayout, key: str, until: int | None, counts: Counter[str]
) -> Iterator[tuple[DecisionRecord, AssignmentRecord]]:
    """The answers of an experiment that may be counted; how many there are, and why others not.

    Parameters
    ----------
    counts
        Told ``answers kept`` and ``left out: …``.
    """
    erased, seen = Erasures(layout.erasures).subjects, set[str]()
    for record, assignment in _assigned(layout, key, until):
        reason = _reason(record, assignment, seen, erased)
        counts[f"left out: {reason}" if reason else "answers kept"] += 1
        if reason is None:
            seen.add(record.decision_id)
            yield record, assignment


def _assigned(
    layout: StoreLayout, key: str, until: int | None
) -> Iterator[tuple[DecisionRecord, AssignmentRecord]]:
    if not layout.log.is_dir():
        return
    for entry in LogReader(layout.log):
        record = entry.record
        if not isinstance(record, DecisionRecord):
            continue
        if until is not None and record.ts_server >= until:
            continue
        yield from ((record, each) for each in assigned(record, key))


def _reason(
    record: DecisionRecord,
    assignment: AssignmentRecord,
    seen: set[str],
    erased: Mapping[str, int],
) -> str | None:
    if record.decision_id in seen:
        return "repeated record"
    return reason_left_out(record, assignment, erased)


def _row(record: DecisionRecord, assignment: AssignmentRecord) -> tuple[object, ...]:
    device = record.context.get("device")
    return (
        record.decision_id,
        record.subject_type,
        record.subject_key,
        assignment.variant,
        assignment.phase,
        record.ts_server,
        assignment.p_arm,
        record.request_id,
        device if isinstance(device, str) else None,
        record.served_level,
        record.model_version,
        record.degraded_reason is not None,
        not record.items and not record.ways,
        record.latency_ms,
        record.changed_share,
        [item.item_id for item in record.items],
    )
