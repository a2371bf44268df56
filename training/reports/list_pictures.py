"""Pictures of the reports on lists: promise and delivery, and what lists cost."""

from __future__ import annotations

from typing import Any, Final

from training.evaluation.plots import dress, new_figure
from training.reports.pictures import ROWS, WIDTH, Figures, dots, names, short, svg

# Okabe and Ito's palette, as in the other pictures.
_BLUE, _RED, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#8A8A8A"
_COLOURS: Final = {
    "promised too much": _RED,
    "promised too little": _BLUE,
    "as promised": _GREEN,
}
_COSTS: Final = (
    ("changed", "page changed (%)"),
    ("repeats", "repeats of ignored items (%)"),
    ("dismissals", "dismissals per 100 visits"),
    ("exits", "exits after a showing (%)"),
)


def gaps_picture(figures: Figures) -> bytes:
    """Gap of each group with its interval, and the tolerance as a band; SVG."""
    rows = [each for each in figures["gaps"] if each["gap"]]
    figure = new_figure(WIDTH, 1.3 + 0.34 * max(len(rows), 3))
    axes = figure.add_subplot()
    dress(axes)
    tolerance = 100 * figures["tolerance"]
    axes.axvspan(-tolerance, tolerance, color="#E8F1F8", zorder=0)
    axes.axvline(0, color="#444444", linewidth=0.8)
    for verdict in {each["verdict"] for each in rows}:
        found = [each["gap"] if each["verdict"] == verdict else None for each in rows]
        dots(axes, found, 100, _COLOURS.get(verdict, _GREY))
    names(axes, [f"{_group(each)}  (n = {each['shown']:,})" for each in rows])
    axes.set_xlabel("taken up more or less than predicted (%); band: tolerance")
    return svg(figure)


def reliability_picture(figures: Figures) -> bytes:
    """Share that was taken up over the share that was predicted; SVG."""
    rows = [each for each in figures["reliability"] if each["delivered"]]
    figure = new_figure(WIDTH, 4.6)
    axes = figure.add_subplot()
    dress(axes)
    ends = [each["delivered"]["high"] for each in rows] + [each["predicted"] for each in rows]
    most = 105 * max(ends, default=0.01)
    axes.plot([0, most], [0, most], color="#444444", linestyle=":")
    for each in rows:
        found = each["delivered"]
        spread = [[found["mean"] - found["low"]], [found["high"] - found["mean"]]]
        axes.errorbar(
            100 * each["predicted"],
            100 * found["mean"],
            yerr=[[100 * max(0.0, end[0])] for end in spread],
            color=_BLUE,
            marker="o",
            markersize=5,
            capsize=2.5,
        )
    axes.set(xlim=(0, most), ylim=(0, most), xlabel="predicted (%)", ylabel="taken up (%)")
    return svg(figure)


def costs_picture(figures: Figures) -> bytes:
    """The four costs of each placement and arm, side by side; SVG."""
    rows = figures["rows"][:ROWS]
    figure = new_figure(WIDTH, 1.5 + 0.34 * max(len(rows), 3))
    panels = figure.subplots(1, len(_COSTS), sharey=True)
    for axes, (name, label) in zip(panels, _COSTS, strict=True):
        dress(axes)
        found = [each[name] for each in rows]
        dots(axes, found, 100, _BLUE)
        most = max((100 * each["high"] for each in found if each), default=0) or 1
        axes.set_xlim(-0.04 * most, 1.05 * most)  # so that a dot at 0 is whole
        axes.set_xlabel(label, fontsize=8)
    names(panels[0], [_arm(each) for each in rows])
    return svg(figure)


def _group(gap: dict[str, Any]) -> str:
    return "all" if gap["dimension"] == "all" else f"{gap['dimension']}: {short(gap['name'])}"


def _arm(row: dict[str, Any]) -> str:
    return "all" if row["placement"] == "all" else f"{short(row['placement'])}, {short(row['arm'])}"
