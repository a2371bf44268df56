"""What each model finds among twenty, and how high it puts it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.sessions.protocol import Row

_MEASURES = (("hit_20", "P@20, %"), ("mrr_20", "MRR@20, %"))
_COLOURS = ("#0072B2", "#009E73", "#8A8A8A", "#D55E00")


def draw(rows: Mapping[str, Row], folder: Path, title: str) -> Path:
    """Write ``sessions.png`` into the folder, which is made where it is missing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.2), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    names = list(rows)
    for axes, (measure, label) in zip(figure.subplots(1, 2), _MEASURES, strict=True):
        values = [getattr(rows[name], measure) for name in names]
        bars = axes.bar(names, values, color=_COLOURS[: len(names)])
        axes.bar_label(bars, fmt="%.1f")
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=10)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sessions.png"
    figure.savefig(path, metadata={"Software": None})
    return path
