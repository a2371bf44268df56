"""The candidate report as a picture: recall of each source beside what it adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recommender.terms import Float64Array
from training.evaluation.bootstrap import Interval
from training.evaluation.candidate_report import (
    CUT_OFFS,
    POOL,
    UNION,
    CandidateReport,
    SourceRecall,
)
from training.evaluation.plots import dress, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Light to dark with the budget; told apart in grey as well.
_SHADES = {50: "#9ECAE1", 100: "#4292C6", 200: "#08519C"}
_ADDS_COLOUR = "#D55E00"
_POOL_COLOUR = "#E69F00"


def draw_candidates(report: CandidateReport, folder: Path) -> Path:
    """Draw ``candidates.png`` into an existing folder."""
    rows = sorted(
        report.everybody.rows,
        key=lambda each: (
            each.name in (UNION, POOL),
            each.name == POOL,
            each.recall[CUT_OFFS[-1]].mean,
        ),
    )
    figure = new_figure(11.0, 1.8 + 0.5 * len(rows))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for axes in (left, right):
        dress(axes)
        axes.grid(visible=False, axis="y")
    recall_bars(rows, left)
    added_bars(rows, right)
    period = f"{report.period_start[:10]} to {report.period_end[:10]}"
    figure.suptitle(
        f"What the candidate sources find\n{report.users} shoppers, {report.targets} targets, "
        f"{period}, {report.confidence:.0%} intervals"
    )
    path = folder / "candidates.png"
    save(figure, path)
    return path


def recall_bars(rows: Sequence[SourceRecall], axes: Axes) -> None:
    """Recall of each source at each budget."""
    for shift, k in zip((0.26, 0.0, -0.26), CUT_OFFS, strict=True):
        places = np.arange(len(rows), dtype=np.float64) + shift
        _bars(axes, places, [each.recall for each in rows], k, (f"k = {k}", _SHADES[k]))
    axes.set_yticks(np.arange(len(rows)), [each.name for each in rows])
    axes.set_xlabel("recall@k")
    axes.legend(loc="lower right", frameon=False)


def added_bars(rows: Sequence[SourceRecall], axes: Axes) -> None:
    """What each source adds at the largest budget."""
    k = CUT_OFFS[-1]
    chosen = [(row, each) for row, each in enumerate(rows) if each.adds]
    places = np.array([row for row, _ in chosen], np.float64)
    style = (f"to the union (equal budget of {k})", _ADDS_COLOUR)
    _bars(axes, places + 0.18, [each.adds for _, each in chosen], k, style, 0.32)
    style = (f"to the pool (all lists of {k})", _POOL_COLOUR)
    _bars(axes, places - 0.18, [each.adds_to_pool for _, each in chosen], k, style, 0.32)
    axes.axvline(0, color="#444444", linewidth=0.8)
    axes.set_xlabel(f"recall@{k} that the source adds")
    axes.legend(loc="upper right", frameon=False)


def _bars(
    axes: Axes,
    places: Float64Array,
    values: Sequence[Mapping[int, Interval]],
    k: int,
    style: tuple[str, str],
    height: float = 0.24,
) -> None:
    found = [each[k] for each in values]
    label, colour = style
    errors = np.array([[i.mean - i.low, i.high - i.mean] for i in found]).T.clip(0)
    axes.barh(
        places,
        [each.mean for each in found],
        height=height,
        color=colour,
        label=label,
        xerr=errors,
        error_kw={"elinewidth": 0.8, "capsize": 1.8, "ecolor": "#333333"},
    )
