"""A picture per metric: the difference and its interval at the end of each day."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from training.evaluation.experiment.report import ExperimentReading, MetricReading

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe and Ito
_SIZE = (8.0, 4.2)
_DPI = 120


def draw_all(reading: ExperimentReading, folder: Path) -> list[Path]:
    """Draw every metric that has a look as PNG into an existing folder; returns the paths."""
    names = dict.fromkeys(
        metric.name for each in reading.comparisons for metric in each.metrics if metric.looks
    )
    return [_draw(reading, name, folder / f"{name}.png") for name in names]


def _draw(reading: ExperimentReading, name: str, path: Path) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, each in enumerate(reading.comparisons):
        metric = each.metric(name)
        if metric is not None and metric.looks:
            _band(axes, metric, each.variant, _COLOURS[number % len(_COLOURS)])
    axes.axhline(0.0, color="#444444", linewidth=0.8)
    axes.set_ylabel(f"{name}, minus {reading.control}")
    axes.set_title(f"{reading.experiment}: {name}; bands hold at every look", loc="left")
    axes.legend(frameon=False)
    figure.autofmt_xdate()
    # Without the version of matplotlib in it: the same reading, the same bytes.
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
    return path


def _band(axes: object, metric: MetricReading, variant: str, colour: str) -> None:
    at = [datetime.fromisoformat(look.at) for look in metric.looks]
    low, high = zip(*(look.always for look in metric.looks), strict=True)
    effects = [look.effect for look in metric.looks]
    axes.plot(at, effects, color=colour, marker="o", markersize=3, label=variant)  # type: ignore[attr-defined]
    axes.fill_between(at, low, high, color=colour, alpha=0.2)  # type: ignore[attr-defined]
