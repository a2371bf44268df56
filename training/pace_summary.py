"""The report of pace for people (tables) and for machines (one flat object)."""

from __future__ import annotations

from pathlib import Path

from feature_store.console import Console
from training.evaluation.pace_report import PaceReport
from training.evaluation.plots_pace import draw_pace


def show_pace(report: PaceReport, console: Console) -> None:
    """Confusion, depth, confidence, stability, and the targets last."""
    console.table("True mode and mode told, share of the row", report.confusion_rows())
    console.table("By depth of the visit", report.depth_rows())
    console.table("By confidence", report.confidence_rows())
    console.table("Stability", report.stability_rows())
    seeds = ", ".join(map(str, report.seeds))
    console.table(f"{report.steps} steps of {report.visits} visits, shops {seeds}", report.targets)


def pace_summary(report: PaceReport) -> dict[str, object]:
    """The figures that decide."""
    return {
        "balanced_accuracy": round(report.balanced_accuracy, 4),
        "calibration_error": round(report.calibration_error, 4),
        "accuracy": round(report.accuracy, 4),
        "changes_per_visit": round(report.changes_per_visit, 4),
        "steady_visits": round(report.steady_visits, 4),
        "visits": report.visits,
        "steps": report.steps,
    }


def write_pace(report: PaceReport, folder: Path) -> list[Path]:
    """Write the report as JSON, Markdown and pictures; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    data, text = folder / "pace.json", folder / "pace.md"
    data.write_bytes(report.to_json())
    text.write_text(report.to_markdown(), encoding="utf-8")
    return [data, text, *draw_pace(report, folder)]
