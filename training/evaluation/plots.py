"""The report as pictures: metric by k, by slice, popularity curve, coverage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.evaluation.report import BLEND, POPULARITY, EvaluationReport, SliceReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart by colour-blind readers. Blend and popularity keep theirs in
# every picture; single sources share one grey, so that the comparison that matters stands out.
_BLEND_COLOUR = "#0072B2"
_POPULARITY_COLOUR = "#D55E00"
_SOURCE_COLOUR = "#8A8A8A"
_COLOURS = {BLEND: _BLEND_COLOUR, POPULARITY: _POPULARITY_COLOUR}
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
_SIZE = (8.0, 4.8)
_DPI = 120


def draw_all(report: EvaluationReport, folder: Path) -> list[Path]:
    """Draw every picture as PNG into an existing folder; returns the paths."""
    drawings: Sequence[tuple[str, Callable[[EvaluationReport, Axes], None]]] = (
        ("metric_by_k", metric_by_k),
        ("metric_by_slice", metric_by_slice),
        ("popularity_curve", popularity_curve),
        ("coverage", coverage),
    )
    return [_draw(report, draw, folder / f"{name}.png") for name, draw in drawings]


def metric_by_k(report: EvaluationReport, axes: Axes) -> None:
    """NDCG of each variant at each cut-off, with intervals."""
    count = len(report.variants)
    for row, variant in enumerate(report.variants):
        intervals = [variant.metrics[f"ndcg@{k}"] for k in report.k]
        means = np.array([interval.mean for interval in intervals])
        errors = np.array([[i.mean - i.low, i.high - i.mean] for i in intervals]).T.clip(0)
        # Each variant stands a little to the side, so that intervals do not hide each other.
        place = np.arange(len(report.k)) + (row - (count - 1) / 2) * 0.6 / count
        axes.errorbar(
            place,
            means,
            yerr=errors,
            label=variant.name,
            color=_COLOURS.get(variant.name, _SOURCE_COLOUR),
            marker=_MARKERS[row % len(_MARKERS)],
            linestyle="none",
            capsize=2.5,
            markersize=6 if variant.name in _COLOURS else 4.5,
        )
    for band in range(0, len(report.k), 2):
        axes.axvspan(band - 0.5, band + 0.5, color="#F4F4F4", zorder=0)
    axes.set_xlim(-0.5, len(report.k) - 0.5)
    axes.grid(visible=False, axis="x")
    axes.set_xticks(np.arange(len(report.k)), [f"k = {k}" for k in report.k])
    axes.set_ylim(bottom=0)
    axes.set_ylabel("nDCG@k")
    axes.set_title(_title(report, "Ranking quality by list length", has_intervals=True))
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)


def metric_by_slice(report: EvaluationReport, axes: Axes) -> None:
    """Headline metric of blend and popularity in each slice, with intervals."""
    labels = list(dict.fromkeys((each.group, each.name) for each in report.slices))
    rows = {label: len(labels) - 1 - row for row, label in enumerate(labels)}
    users = {(each.group, each.name): each.users for each in report.slices}
    for shift, variant in ((0.17, BLEND), (-0.17, POPULARITY)):
        found = [each for each in report.slices if each.variant == variant]
        _bars(axes, found, [rows[each.group, each.name] + shift for each in found], variant)
    axes.set_yticks(
        list(rows.values()),
        [f"{group}: {_short(name)}  (n = {users[group, name]})" for group, name in labels],
    )
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(report.headline.replace("ndcg", "nDCG"))
    axes.set_title(_title(report, "Ranking quality by slice", has_intervals=True))
    if labels:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)


def popularity_curve(report: EvaluationReport, axes: Axes) -> None:
    """Lorenz curve: share of all shown positions that the most shown items take."""
    for variant, shown in report.shown_counts.items():
        counts = np.asarray(shown, np.float64)
        if counts.sum() == 0:
            continue
        share = np.concatenate([[0], np.cumsum(counts) / counts.sum()])
        gini = report.variant(variant).beyond["gini"]
        axes.plot(
            np.linspace(0, 100, len(share)),
            100 * share,
            color=_COLOURS.get(variant, _SOURCE_COLOUR),
            label=f"{variant} (Gini {gini:.2f})",
        )
    axes.plot([0, 100], [0, 100], color="#444444", linestyle=":", label="every item equally")
    axes.set(xlim=(0, 100), ylim=(0, 101))
    axes.set_xlabel("items, most shown first (% of the catalogue)")
    axes.set_ylabel(f"share of the shown positions (%, k = {report.k_max})")
    axes.set_title(_title(report, "How concentrated the recommendations are"))
    axes.legend(loc="lower right", frameon=False)


def coverage(report: EvaluationReport, axes: Axes) -> None:
    """Share of the catalogue that each variant ever shows."""
    rows = np.arange(len(report.variants))[::-1]
    values = [100 * variant.beyond["coverage"] for variant in report.variants]
    colours = [_COLOURS.get(variant.name, _SOURCE_COLOUR) for variant in report.variants]
    bars = axes.barh(rows, values, color=colours, height=0.62)
    axes.grid(visible=False, axis="y")
    axes.bar_label(bars, labels=[f"{value:.1f} %" for value in values], padding=4)
    axes.set_yticks(rows, [variant.name for variant in report.variants])
    axes.set_xlim(0, max(5.0, 1.15 * max(values, default=0.0)))
    axes.set_xlabel(f"% of {report.items} items shown to at least one shopper, k = {report.k_max}")
    axes.set_title(_title(report, "Coverage of the catalogue"))


def _draw(
    report: EvaluationReport, draw: Callable[[EvaluationReport, Axes], None], path: Path
) -> Path:
    height = max(_SIZE[1], 0.42 * len(report.slices) / 2 + 1.6) if draw is metric_by_slice else 0
    figure = new_figure(_SIZE[0], height or _SIZE[1])
    axes = figure.add_subplot()
    dress(axes)
    draw(report, axes)
    save(figure, path)
    return path


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches. Not pyplot's: no global state, no display needed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def dress(axes: Axes) -> None:
    """Grid and spines that all pictures have."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="both", color="#E6E6E6", linewidth=0.7)
    axes.set_axisbelow(True)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    # Without the library's version in the metadata, the same report gives the same bytes.
    figure.savefig(path, metadata={"Software": None})


def _bars(axes: Axes, found: Sequence[SliceReport], places: Sequence[float], variant: str) -> None:
    means = np.array([each.interval.mean for each in found])
    lows = np.array([each.interval.low for each in found])
    highs = np.array([each.interval.high for each in found])
    axes.barh(
        places,
        means,
        height=0.32,
        color=_COLOURS[variant],
        label=variant,
        xerr=np.array([means - lows, highs - means]).clip(0),
        error_kw={"elinewidth": 1, "capsize": 2.5, "ecolor": "#333333"},
    )


def _title(report: EvaluationReport, text: str, *, has_intervals: bool = False) -> str:
    period = f"{report.period_start[:10]} to {report.period_end[:10]}"
    intervals = f", {report.confidence:.0%} intervals" if has_intervals else ""
    return f"{text}\n{report.users} shoppers, {period}{intervals}"


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:27]}…"
