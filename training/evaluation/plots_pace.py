"""The report of pace as pictures: confusion, calibration, accuracy by depth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.evaluation.pace_report import PaceReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOUR, _GREY = "#0072B2", "#8A8A8A"


def write_pace(report: PaceReport, folder: Path) -> list[Path]:
    """Write the report as JSON, Markdown and pictures; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    data, text = folder / "pace.json", folder / "pace.md"
    data.write_bytes(report.to_json())
    text.write_text(report.to_markdown(), encoding="utf-8")
    return [data, text, *draw_pace(report, folder)]


def draw_pace(report: PaceReport, folder: Path) -> list[Path]:
    """Draw every picture as PNG into an existing folder; returns the paths."""
    from matplotlib.figure import Figure

    paths = []
    for name, draw in (("confusion", confusion), ("calibration", calibration), ("depth", depth)):
        figure = Figure(figsize=(6.4, 4.8), dpi=120, layout="constrained")
        draw(report, figure.subplots())
        path = folder / f"pace_{name}.png"
        figure.savefig(path)
        paths.append(path)
    return paths


def confusion(report: PaceReport, axes: Axes) -> None:
    """Share of the steps of each true mode that were told as each mode."""
    counts = np.array(report.confusion, np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.5 else "black"
        axes.text(column, row, f"{share:.2f}", ha="center", va="center", color=colour)
    places = np.arange(len(report.modes))
    axes.set_xticks(places, report.modes)
    axes.set_yticks(places, report.modes)
    axes.set_xlabel("mode told")
    axes.set_ylabel("true pace")
    axes.set_title(f"Share of each true pace, {report.steps:,} steps")


def calibration(report: PaceReport, axes: Axes) -> None:
    """Share told right against confidence; the size of a point is the number of steps."""
    most = max(each.steps for each in report.bins)
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", label="perfectly calibrated")
    axes.plot(
        [each.confidence for each in report.bins],
        [each.accuracy for each in report.bins],
        color=_COLOUR,
        linewidth=1,
    )
    axes.scatter(
        [each.confidence for each in report.bins],
        [each.accuracy for each in report.bins],
        s=[10 + 150 * each.steps / most for each in report.bins],
        color=_COLOUR,
        label="15 bins, area by steps",
    )
    axes.set_xlim(0.2, 1.02)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("confidence")
    axes.set_ylabel("share told right")
    axes.set_title(f"Expected calibration error {report.calibration_error:.3f}")
    axes.legend(loc="upper left", frameon=False)


def depth(report: PaceReport, axes: Axes) -> None:
    """Balanced accuracy by the number of the step."""
    names = [each.name for each in report.by_depth]
    values = [each.balanced_accuracy for each in report.by_depth]
    axes.bar(names, values, color=_COLOUR)
    for place, value in enumerate(values):
        axes.text(place, value + 0.01, f"{value:.2f}", ha="center")
    axes.axhline(1 / len(report.modes), color=_GREY, linestyle="--")
    axes.text(len(names) - 0.5, 1 / len(report.modes) + 0.01, "chance", ha="right", color="white")
    axes.set_ylim(0, 1)
    axes.set_xlabel("step of the visit")
    axes.set_ylabel("balanced accuracy")
    axes.set_title(f"Balanced accuracy {report.balanced_accuracy:.3f} over all steps")
