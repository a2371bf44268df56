"""A search as pictures: what each trial found, and which settings made the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from training.tuning import TrialRow

_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#8A8A8A"  # Okabe and Ito
_DPI = 120
_MOST_BARS = 15


def draw_history(rows: Sequence[TrialRow], path: Path) -> None:
    """NDCG of each trial as PNG, with the best one so far and the start as lines."""
    figure, axes = _figure(4.8)
    for state, colour, marker in (("complete", _BLUE, "o"), ("pruned", _GREY, "x")):
        found = [row for row in rows if row.state == state and row.value is not None]
        label = "complete" if state == "complete" else "ended early (shoppers asked so far)"
        axes.scatter(
            [row.number for row in found],
            np.array([row.value for row in found], np.float64),
            color=colour,
            marker=marker,
            s=26,
            label=label,
            zorder=3,
        )
    _lines(axes, [row for row in rows if row.state == "complete" and row.value is not None])
    axes.set_xlabel("trial")
    axes.set_ylabel("nDCG@20, validation shoppers")
    axes.set_title("What each trial found")
    axes.legend(loc="lower right", frameon=False)
    _save(figure, path)


def draw_importances(importances: Mapping[str, float], path: Path) -> None:
    """Share of each setting in what separates good trials from others, as PNG."""
    shown = sorted(importances.items(), key=lambda each: -each[1])[:_MOST_BARS]
    figure, axes = _figure(1.4 + 0.32 * len(shown))
    places = np.arange(len(shown))[::-1]
    bars = axes.barh(places, [100 * share for _, share in shown], color=_BLUE, height=0.62)
    axes.bar_label(bars, labels=[f"{100 * share:.0f} %" for _, share in shown], padding=4)
    axes.set_yticks(places, [name for name, _ in shown])
    axes.set_xlim(0, 112 * max((share for _, share in shown), default=1.0))
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("share of the difference between the best trials and all, %")
    axes.set_title("Which settings matter (PED-ANOVA)")
    _save(figure, path)


def _lines(axes: Axes, complete: Sequence[TrialRow]) -> None:
    numbers = [row.number for row in complete]
    values = np.array([row.value for row in complete], np.float64)
    if not len(values):
        return
    best = np.maximum.accumulate(values)
    axes.step(numbers, best, where="post", color=_BLUE, label="best so far")
    axes.axhline(values[0], color=_ORANGE, linestyle="--", label="where the search started")


def _figure(height: float) -> tuple[Figure, Axes]:
    # A figure of its own instead of pyplot: no global state, no display needed.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#E6E6E6", linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    # Without the library's version in the metadata, the same search gives the same bytes.
    figure.savefig(path, metadata={"Software": None})
