"""The data gates before training, on the newest whole day of the tables."""

from __future__ import annotations

from feature_store.checks import CheckReport, check
from feature_store.layout import StoreLayout
from feature_store.tables import read_manifests
from recommender.errors import DataError, RefusedError
from training.dataset import moment


def check_data(layout: StoreLayout, as_of: int | None) -> CheckReport:
    """Check the newest day that was over at `as_of` (microseconds; None: the end of the log).

    Freshness is measured from that moment, so a historical log is not stale by being old; a log
    that has stopped growing is noticed as nothing new, or by `desirepath check`.

    Raises
    ------
    DataError
        The tables hold nothing.
    """
    manifests = read_manifests(layout)
    if not manifests:
        raise DataError(f"{layout.tables} holds no interactions; ingest a log first")
    end = manifests[-1].last_ts + 1
    return check(layout, moment(end if as_of is None else min(as_of, end)))


def refuse_tripped(report: CheckReport) -> None:
    """Raise `RefusedError` with what tripped, if anything did."""
    if report.tripped:
        found = "; ".join(
            f"{gate.name} is {gate.value}, limit {gate.limit} ({gate.detail})"
            for gate in report.tripped
        )
        raise RefusedError(
            f"the data of {report.day} are not fit to learn from: {found}. "
            "Mend the source, or learn from them all the same with --checks report"
        )


def check_metrics(report: CheckReport) -> dict[str, float]:
    """Flat figures for the run: the value of each gate that could be measured, and what tripped."""
    flat = {f"check_{gate.name}": gate.value for gate in report.gates if gate.value is not None}
    return flat | {"checks_tripped": float(len(report.tripped))}


def check_rows(report: CheckReport) -> list[dict[str, object]]:
    """One row per gate."""
    return [
        {
            "check": gate.name,
            "value": "" if gate.value is None else gate.value,
            "limit": gate.limit,
            "verdict": "TRIPPED" if gate.is_tripped else "passed",
            "": gate.detail,
        }
        for gate in report.gates
    ]
