"""The journey report as pictures: steps saved beside conversion, by placement, remaining steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.evaluation.bootstrap import Interval
from training.evaluation.journey_report import JourneyReport, JourneySlice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, as in the other pictures: the model blue, popularity orange.
_COLOURS = ("#0072B2", "#D55E00", "#8A8A8A")
_CONVERSION = "#009E73"
_MARKERS = ("o", "s", "^")
_WIDTH = 9.0
_DPI = 120


def draw_all(report: JourneyReport, folder: Path) -> list[Path]:
    """Draw every picture as PNG into an existing folder; returns the paths."""
    drawings: Sequence[tuple[str, Callable[[JourneyReport, Figure], None], int]] = (
        ("journeys_by_slice", by_slice, len(_with_journeys(report))),
        ("journeys_by_placement", by_placement, len(report.placements)),
        ("journeys_remaining_steps", remaining, len(report.remaining)),
    )
    return [_draw(report, draw, rows, folder / f"{name}.png") for name, draw, rows in drawings]


def by_slice(report: JourneyReport, figure: Figure) -> None:
    """Steps saved by each variant in each slice, with the conversion of its visits beside."""
    saved, conversion = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    slices = _with_journeys(report)
    rows = np.arange(len(slices))[::-1].astype(np.float64)
    for place, name in enumerate(report.models):
        shift = 0.22 * ((len(report.models) - 1) / 2 - place)
        found = [each.variants[name].steps_saved for each in slices]
        _dots(saved, found, rows + shift, (name, _COLOURS[place], _MARKERS[place]))
    saved.set_yticks(rows, [_label(each) for each in slices])
    saved.set_xlabel(f"steps saved@{report.k} per journey")
    saved.set_xlim(left=0)
    # Below the axes: on top of them it would hide intervals.
    saved.legend(loc="upper left", bbox_to_anchor=(0, -0.08), frameon=False, ncols=3)
    _conversions(conversion, [each.conversion for each in slices], rows)
    _finish(report, figure, "Steps saved, beside conversion", (saved, conversion))


def by_placement(report: JourneyReport, figure: Figure) -> None:
    """Steps that the model's lists at each placement would have saved, with their share."""
    saved, shortened = figure.subplots(1, 2, sharey=True)
    rows = np.arange(len(report.placements))[::-1].astype(np.float64)
    mark = ("model", _COLOURS[0], _MARKERS[0])
    _dots(saved, [each.figures.steps_saved for each in report.placements], rows, mark)
    saved.set_yticks(rows, [f"{each.placement} ({each.objective})" for each in report.placements])
    saved.set_xlabel(f"steps saved@{report.k} per journey")
    saved.set_xlim(left=0)
    percent = [_percent(each.figures.shortened) for each in report.placements]
    _dots(shortened, percent, rows, mark)
    shortened.set_xlabel("journeys shortened (%)")
    shortened.set_xlim(left=0)
    whole = report.whole.conversion
    beside = f"; {whole.mean:.1%} of the visits bought" if whole else ""
    _finish(
        report, figure, f"By placement, had its list stood all the way{beside}", (saved, shortened)
    )


def remaining(report: JourneyReport, figure: Figure) -> None:
    """Expected steps from each stage to a purchase, with the share that still bought beside."""
    steps, bought = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    rows = np.arange(len(report.remaining))[::-1].astype(np.float64)
    mark = ("all visits", _COLOURS[0], _MARKERS[0])
    _dots(steps, [each.steps for each in report.remaining], rows, mark)
    labels = [f"{each.stage}  (n = {each.visits})" for each in report.remaining]
    steps.set_yticks(rows, labels)
    steps.axvline(report.horizon, color="#444444", linestyle=":")
    steps.set_xlim(0, report.horizon * 1.04)
    steps.set_xlabel(f"expected remaining steps, counted up to {report.horizon}")
    shares = [100 * each.bought / each.visits for each in report.remaining]
    bars = bought.barh(rows, shares, color=_CONVERSION, height=0.55)
    bought.bar_label(bars, labels=[f"{share:.1f} %" for share in shares], padding=4)
    bought.set_xlim(0, max(5.0, 1.6 * max(shares, default=0.0)))
    bought.set_xlabel("bought later in the visit (%)")
    _finish(report, figure, "Steps that remain to a purchase", (steps, bought))


def _draw(
    report: JourneyReport,
    draw: Callable[[JourneyReport, Figure], None],
    rows: int,
    path: Path,
) -> Path:
    # A figure of its own instead of pyplot: no global state, no display needed.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = max(3.6, 0.42 * rows + 1.8)
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    draw(report, figure)
    # Without the library's version in the metadata, the same report gives the same bytes.
    figure.savefig(path, metadata={"Software": None})
    return path


def _dots(
    axes: Axes,
    found: Sequence[Interval | None],
    places: np.ndarray,
    mark: tuple[str, str, str],
) -> None:
    """One dot with its interval per row; rows without a figure stay empty."""
    there = [(each, place) for each, place in zip(found, places, strict=True) if each is not None]
    means = np.array([each.mean for each, _ in there])
    errors = np.array([[each.mean - each.low, each.high - each.mean] for each, _ in there])
    name, colour, marker = mark
    axes.errorbar(
        means,
        [place for _, place in there],
        xerr=errors.reshape(-1, 2).T.clip(0),
        label=name,
        color=colour,
        marker=marker,
        linestyle="none",
        capsize=2.5,
        markersize=5.5,
    )


def _conversions(axes: Axes, found: Sequence[Interval | None], rows: np.ndarray) -> None:
    percent = [None if each is None else _percent(each) for each in found]
    _dots(axes, percent, rows, ("conversion", _CONVERSION, "D"))
    axes.set_xlim(left=0)
    axes.set_xlabel("visits that bought (%)")


def _percent(interval: Interval) -> Interval:
    return Interval(100 * interval.mean, 100 * interval.low, 100 * interval.high)


def _with_journeys(report: JourneyReport) -> list[JourneySlice]:
    """Groups without a journey stay in the tables: of a few visits, they would stretch the axes."""
    return [each for each in report.slices if each.journeys]


def _label(each: JourneySlice) -> str:
    name = each.name if each.group == each.name else f"{each.group}: {each.name}"
    return f"{name}  (n = {each.journeys})"


def _finish(report: JourneyReport, figure: Figure, text: str, axes: Sequence[Axes]) -> None:
    for each in axes:
        _bare(each)
    period = f"{report.period_start[:10]} to {report.period_end[:10]}"
    figure.suptitle(
        f"{text}\n{report.counts['kept']} journeys, {report.counts['visits kept']} visits, "
        f"{period}, {report.confidence:.0%} intervals"
    )


def _bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="x", color="#E6E6E6", linewidth=0.7)
    axes.set_axisbelow(True)
