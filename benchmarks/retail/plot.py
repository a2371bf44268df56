"""The picture of the next-basket protocol: recall of everything that was asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Okabe and Ito's palette, as in the evaluation report's pictures.
_PRODUCT, _BASELINE, _SOURCE = "#0072B2", "#D55E00", "#8A8A8A"
_PANELS = (
    ("recall", "all of the basket"),
    ("repeat_recall", "items bought before"),
    ("new_recall", "items never bought before"),
)


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Three panels of bars, PNG; dots are the single folds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    k, variants = found["k"], found["variants"]
    names = sorted(variants, key=lambda name: variants[name][f"recall@{k}"])
    figure = Figure(figsize=(11, 0.34 * len(names) + 1.8), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(_PANELS), sharey=True)
    for panel, (figure_name, title) in zip(axes, _PANELS, strict=True):
        values = [variants[name][f"{figure_name}@{k}"] or 0 for name in names]
        panel.barh(names, values, color=[_colour(name, found) for name in names])
        panel.spines[["top", "right"]].set_visible(False)
        panel.set(title=title, xlabel=f"recall@{k}")
        panel.set_xlim(0, 1.2 * max(values) or 1)
        for row, value in enumerate(values):
            panel.annotate(f"{value:.3f} ", (value, row), va="center", ha="right", fontsize=8)
    for row, name in enumerate(names):
        folds = variants[name]["folds"]
        # Above the middle of the bar, so that the number stays readable.
        axes[0].plot(folds, [row + 0.3] * len(folds), ".", color="#222222", markersize=4)
    figure.suptitle(
        f"Next basket: {found['questions']} questions, {len(found['folds'])} cuts; dots: each cut"
    )
    figure.savefig(path, metadata={"Software": None})


def _colour(name: str, found: Mapping[str, Any]) -> str:
    if name == "product":
        return _PRODUCT
    return _BASELINE if name in found["baseline_settings"] else _SOURCE
