"""A reading for people: tables in Markdown and on the terminal."""

from __future__ import annotations

from training.evaluation.bootstrap import Interval
from training.evaluation.experiment.report import (
    Comparison,
    ExperimentReading,
    GuardrailReading,
    MetricReading,
)
from training.evaluation.report import markdown_table

Rows = list[dict[str, object]]


def to_markdown(reading: ExperimentReading) -> str:
    """The whole reading."""
    parts = [_head(reading), _section("Arms", arm_rows(reading))]
    for each in reading.comparisons:
        title = f"{each.variant} beside {reading.control}"
        parts += [
            _section(title, metric_rows(each, reading.primary)),
            _section(f"Guardrails of {each.variant}", guardrail_rows(each)),
        ]
    counts = [{"what": name, "number": n} for name, n in reading.counts.items()]
    parts.append(_section("Counts", counts))
    return "\n\n".join(parts) + "\n"


def arm_rows(reading: ExperimentReading) -> Rows:
    """One row per arm."""
    return [
        {
            "arm": each.variant,
            "subjects": each.subjects,
            "promised": f"{each.expected:.0f}",
            "window ended": each.closed,
            "answers": each.answers,
            "p95 ms": "-" if each.latency_p95_ms is None else f"{each.latency_p95_ms:.1f}",
        }
        for each in reading.arms
    ]


def metric_rows(comparison: Comparison, primary: str) -> Rows:
    """One row per metric; the one that decides is marked."""
    return [_metric_row(each, primary) for each in comparison.metrics]


def guardrail_rows(comparison: Comparison) -> Rows:
    """One row per guardrail."""
    return [_guardrail_row(each) for each in comparison.guardrails]


def _metric_row(each: MetricReading, primary: str) -> dict[str, object]:
    return {
        "metric": f"{each.name} (decides)" if each.name == primary else each.name,
        "control": f"{each.control:.5g}",
        "treatment": f"{each.treatment:.5g}",
        "difference": _cell(each.effect),
        "p, one look": f"{each.p_value:.3g}",
        "holds at every look": _cell(each.always),
        "relative": _percent(each.relative),
        "variance saved": f"{each.variance_reduction:.0%}",
        "verdict": each.verdict,
        "trap": each.trap,
    }


def _guardrail_row(each: GuardrailReading) -> dict[str, object]:
    return {
        "guardrail": each.name,
        "control": f"{each.control:.5g}",
        "treatment": f"{each.treatment:.5g}",
        "difference": f"{each.effect:+.4g}" if each.always is None else _cell(each.always),
        "tolerated": f"{each.tolerance:.4g}",
        "verdict": each.verdict,
        "of": each.trap,
    }


def _head(reading: ExperimentReading) -> str:
    kind = "A/A test" if reading.is_same else "Test"
    lines = [
        f"# {kind} {reading.experiment}, phase {reading.phase}",
        f"Subjects first seen from {reading.period_start}; everything is known up to "
        f"{reading.period_end}. Outcomes of {reading.window_days:g} days after the first answer; "
        f"intervals of {reading.confidence:.0%}. Sample ratio: p = {reading.srm_p:.3g}.",
    ]
    if reading.refusal:
        lines.append(f"**Refused:** {reading.refusal}.")
    lines += [f"**Doubt:** {each}." for each in reading.doubts]
    return "\n\n".join(lines)


def _cell(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{interval.mean:+.4g} [{interval.low:+.4g}, {interval.high:+.4g}]"


def _percent(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{interval.mean:+.1%} [{interval.low:+.1%}, {interval.high:+.1%}]"


def _section(title: str, rows: Rows) -> str:
    if not rows:
        return f"## {title}\n\nNone."
    table = markdown_table(list(rows[0]), [[str(cell) for cell in row.values()] for row in rows])
    return f"## {title}\n\n{table}"
