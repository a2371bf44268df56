"""The reports on lists as rows of tables, for people at a terminal."""

from __future__ import annotations

from training.evaluation.bootstrap import Interval
from training.reports.expectation import ExpectationReport
from training.reports.intrusiveness import IntrusivenessReport


def gap_rows(report: ExpectationReport) -> list[dict[str, object]]:
    """Promise, delivery and verdict of each group."""
    return [
        {
            "group": each.dimension,
            "name": each.name,
            "shown": each.shown,
            "taken up": each.taken,
            "predicted": f"{each.predicted:.2%}",
            "delivered": _share(each.delivered),
            "gap": _share(each.gap, signed=True),
            "verdict": each.verdict,
        }
        for each in report.gaps
    ]


def cost_rows(report: IntrusivenessReport) -> list[dict[str, object]]:
    """The costs of each placement and arm."""
    return [
        {
            "placement": each.placement,
            "arm": each.arm,
            "visits": each.visits,
            "showings": each.showings,
            "changed": _share(each.changed),
            "repeats": _share(each.repeats),
            "dismissals per visit": _share(each.dismissals),
            "exits": _share(each.exits),
            "taken up": _share(each.taken),
        }
        for each in report.rows
    ]


def _share(interval: Interval | None, *, signed: bool = False) -> str:
    if interval is None:
        return ""
    sign = "+" if signed else ""
    low, high = (f"{100 * end:{sign}.1f}" for end in (interval.low, interval.high))
    return f"{100 * interval.mean:{sign}.1f} % [{low}, {high}]"
