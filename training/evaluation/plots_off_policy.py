"""An off-policy evaluation as a picture: how far the policies overlap, and what was estimated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recommender.terms import Float64Array
from training.evaluation.off_policy_report import OffPolicyReport
from training.evaluation.plots import dress, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OBSERVED, _ESTIMATED = "#8A8A8A", "#0072B2"


def draw_off_policy(report: OffPolicyReport, weight: Float64Array, folder: Path) -> Path:
    """Draw ``off_policy.png`` into an existing folder.

    Parameters
    ----------
    weight
        Importance weight of each list, float64 (n,).
    """
    figure = new_figure(11.0, 4.2)
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        dress(axes)
    overlap(weight, left)
    values(report, right)
    figure.suptitle(
        f"What {report.candidate} would have earned: {report.reward} per list\n"
        f"{report.lists:,} lists, effective sample size {report.diagnosis.ess:,.0f}"
    )
    path = folder / "off_policy.png"
    save(figure, path)
    return path


def overlap(weight: Float64Array, axes: Axes) -> None:
    """How many lists have which weight; those without any stand at the left."""
    positive = weight[weight > 0]
    low = float(positive.min()) if len(positive) else 1.0
    high = max(float(weight.max(initial=1.0)), low * 1.01)
    edges = np.geomspace(low, high * 1.0001, 25)
    axes.hist(positive, bins=edges.tolist(), color=_ESTIMATED)
    none = int((weight == 0).sum())
    axes.bar(low / 2, none, width=low / 3, color=_OBSERVED)
    axes.set_xscale("log")
    axes.set_yscale("symlog")
    axes.set_xlabel(f"importance weight (grey: {none:,} lists have none)")
    axes.set_ylabel("lists")
    axes.set_title("Overlap of the two policies")


def values(report: OffPolicyReport, axes: Axes) -> None:
    """Observed and estimated values with their intervals, or why there are none."""
    named = [report.observed, *report.estimates]
    for row, each in enumerate(reversed(named)):
        colour = _OBSERVED if each is report.observed else _ESTIMATED
        ends = [[each.value - each.low], [each.high - each.value]]
        axes.errorbar([each.value], [row], xerr=ends, fmt="o", color=colour, capsize=3)
    axes.set_yticks(range(len(named)), [each.name for each in reversed(named)])
    axes.set_ylim(-0.6, len(named) - 0.4)
    axes.set_xlabel(f"{report.reward} per list, 95 % interval")
    axes.set_title("No estimate: the log cannot tell" if report.refusal else "Estimates")
