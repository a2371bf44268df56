"""Recall and nDCG by list length, one line a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.topn.metric import CUTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.topn.protocol import Row

# Okabe and Ito's palette, told apart by colour-blind readers; ours are strong, the others grey.
_STYLES = {
    "mix": ("#0072B2", "o", "-"),
    "linear": ("#009E73", "s", "-"),
    "als_tuned": ("#CC79A7", "^", "-"),
    "als_plain": ("#555555", "D", "--"),
    "item_knn": ("#8A8A8A", "v", "--"),
    "popularity": ("#D55E00", "X", "--"),
}
_MEASURES = (("recall", "Recall@k"), ("ndcg", "nDCG@k"))


def draw(rows: Mapping[str, Row], folder: Path, title: str) -> Path:
    """Write ``topn.png`` into the folder, which is made where it is missing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 4.8), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(_MEASURES))
    for axes, (measure, label) in zip(panels, _MEASURES, strict=True):
        _lines(axes, rows, measure)
        axes.set_ylabel(label)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.suptitle(title, fontsize=11)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "topn.png"
    figure.savefig(path, metadata={"Software": None})
    return path


def _lines(axes: Axes, rows: Mapping[str, Row], measure: str) -> None:
    places = range(len(CUTS))  # evenly spaced: the short lists are what a page shows
    for name, row in rows.items():
        colour, marker, line = _STYLES[name]
        values = [getattr(row, measure)[k] for k in CUTS]
        axes.plot(places, values, color=colour, marker=marker, linestyle=line, label=name)
    axes.set_xticks(places, [str(k) for k in CUTS])
    axes.set_xlabel("k")
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, color="#E6E6E6", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
