"""How the ranker learnt: quality tree by tree, and what the trees look at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from training.models.ranker import TaughtHead

_MOST = 20
_COLOURS = {"next_step": "#0072B2", "purchase": "#D55E00"}


def draw_ranker(heads: Mapping[str, TaughtHead], folder: Path) -> Path:
    """Write ``ranker.png`` into an existing folder."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 3.2 + 2.6 * len(heads)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1 + len(heads), 1, squeeze=False, height_ratios=[2, *[3] * len(heads)])
    _curves(axes[0, 0], heads)
    for row, (head, taught) in enumerate(heads.items(), start=1):
        _importances(axes[row, 0], head, taught)
    path = folder / "ranker.png"
    figure.savefig(path, metadata={"Software": None})
    return path


def _curves(axes: Axes, heads: Mapping[str, TaughtHead]) -> None:
    for head, taught in heads.items():
        trees = range(1, len(taught.curve) + 1)
        axes.plot(trees, taught.curve, color=_COLOURS.get(head, "#555555"), label=head)
        best = taught.curve.index(max(taught.curve)) + 1
        axes.axvline(best, color=_COLOURS.get(head, "#555555"), linestyle=":")
    axes.set_xlabel("trees of the first bag (dotted: kept)")
    axes.set_ylabel("nDCG@20, kept aside")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _importances(axes: Axes, head: str, taught: TaughtHead) -> None:
    shown = list(taught.importance.items())[:_MOST][::-1]
    axes.barh([name for name, _ in shown], [share for _, share in shown], color=_COLOURS.get(head))
    axes.set_xlabel(f"share of the gain, {head}")
    axes.tick_params(axis="y", labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
