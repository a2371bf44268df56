"""Pictures of the journey report: the flow of visits, exits, what conversion hangs on."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from training.evaluation.plots import dress, new_figure

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Figures = Mapping[str, Any]

# Okabe and Ito's palette, as in the other pictures.
_BOUGHT, _LEFT, _ELSEWHERE = "#009E73", "#D9D9D9", "#8A8A8A"
_COLOURS = ("#0072B2", "#E69F00", "#56B4E9", "#CC79A7", "#D55E00", "#F0E442", "#5B4B9A")
_DARK = ("#0072B2", "#D55E00", "#5B4B9A", _BOUGHT)
WIDTH = 9.0
_BAR = 0.16
ROWS = 14
_LONGEST = 30
_THINNEST = 0.4  # % of the visits: thinner bands are a mist that hides the others


def flow_picture(figures: Figures) -> bytes:
    """Share of the visits at each touchpoint after each stop, and how they move on; SVG."""
    flow = figures["flow"]
    at = np.array(flow["at"], np.float64)
    share = 100 / at[0].sum()
    touchpoints = len(flow["states"]) - 3
    colours = [_BOUGHT, *_COLOURS[:touchpoints], _ELSEWHERE, _LEFT]
    figure = new_figure(WIDTH, 5.8)
    axes = figure.add_subplot()
    tops = np.cumsum(at, axis=1) * share
    for stop, heights in enumerate(at * share):
        bottoms = tops[stop] - heights
        for state, (bottom, height) in enumerate(zip(bottoms, heights, strict=True)):
            axes.bar(stop, height, 2 * _BAR, bottom, color=colours[state], linewidth=0)
            if height >= 5:
                _note(axes, (stop, bottom + height / 2), f"{height:.0f}", colours[state])
    for stop, moves in enumerate(flow["moves"]):
        _ribbons(axes, stop, np.array(moves, np.float64) * share, colours)
    handles = [axes.bar(0, 0, color=colour, linewidth=0)[0] for colour in colours[::-1]]
    _legend(figure, handles, [short(name) for name in flow["states"][::-1]])
    axes.set_xticks(range(len(at)), [_tick(stop) for stop in range(len(at))])
    axes.set(ylim=(0, 100), xlim=(-0.3, len(at) - 0.7), ylabel="% of all visits", xlabel="stop")
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(bottom=False)
    return svg(figure)


def exits_picture(figures: Figures) -> bytes:
    """Exit rate of the touchpoints with the most exits, beside the rate of all stops; SVG."""
    rows = [each for each in figures["exits"] if each["rate"]][:ROWS]
    figure = new_figure(WIDTH, 1.3 + 0.34 * max(len(rows), 3))
    axes = figure.add_subplot()
    dress(axes)
    dots(axes, [each["rate"] for each in rows], 100, _COLOURS[0])
    names(axes, [f"{short(each['touchpoint'])}  (n = {each['stops']:,})" for each in rows])
    left, stops = (sum(each[name] for each in figures["exits"]) for name in ("left", "stops"))
    axes.axvline(100 * left / max(stops, 1), color="#444444", linestyle=":")
    axes.set_xlim(left=0)
    axes.set_xlabel("stops after which the visit ended without a purchase (%); dotted: all stops")
    return svg(figure)


def critical_picture(figures: Figures) -> bytes:
    """Removal effect and plain difference of each touchpoint that is no gate; SVG."""
    rows = [each for each in figures["critical"] if not each["is_gate"]][:ROWS]
    figure = new_figure(WIDTH, 1.3 + 0.34 * max(len(rows), 3))
    removal, difference = figure.subplots(1, 2, sharey=True)
    for axes in (removal, difference):
        dress(axes)
    dots(removal, [each["removal"] for each in rows], 100, _COLOURS[0])
    dots(difference, [each["difference"] for each in rows], 100, _COLOURS[4])
    names(removal, [f"{short(each['touchpoint'])}  (n = {each['visits']:,})" for each in rows])
    removal.set_xlim(left=0)
    removal.set_xlabel("removal effect (%)")
    difference.axvline(0, color="#444444", linewidth=0.8)
    difference.set_xlabel("conversion with minus without (points)")
    return svg(figure)


def _tick(stop: int) -> str:
    return str(stop + 1)


def _ribbons(axes: Axes, stop: int, moves: np.ndarray, colours: Sequence[str]) -> None:
    """Bands from each state after a stop to each state after the next."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    leaves = _stacked(moves, moves.sum(axis=1))
    arrives = _stacked(moves.T, moves.sum(axis=0)).T
    start, end = stop + _BAR, stop + 1 - _BAR
    middle = (start + end) / 2
    curve = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    for origin, target in zip(*np.nonzero(moves >= _THINNEST), strict=True):
        height = moves[origin, target]
        y, z = leaves[origin, target], arrives[origin, target]
        corners = [
            *((start, y), (middle, y), (middle, z), (end, z)),
            *((end, z + height), (middle, z + height), (middle, y + height), (start, y + height)),
            (start, y),
        ]
        axes.add_patch(
            PathPatch(Path(corners, curve), facecolor=colours[origin], alpha=0.28, linewidth=0)
        )


def _stacked(moves: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Where each band begins on the bar of its row: bars stacked, bands stacked within."""
    base = np.cumsum(totals) - totals
    return np.asarray(base[:, None] + np.cumsum(moves, axis=1) - moves)


def dots(axes: Axes, found: Sequence[Figures | None], scale: float, colour: str) -> None:
    """One figure a row with its interval, the first one on top; rows without one stay empty."""
    places = np.arange(len(found))[::-1]
    for each, place in zip(found, places, strict=True):
        if each is None:
            continue
        ends = [[each["mean"] - each["low"]], [each["high"] - each["mean"]]]
        axes.errorbar(
            scale * each["mean"],
            place,
            xerr=scale * np.array(ends).clip(0),
            color=colour,
            marker="o",
            markersize=5,
            capsize=2.5,
        )


def names(axes: Axes, labels: Sequence[str]) -> None:
    """Name the rows of `dots`."""
    axes.set_yticks(np.arange(len(labels))[::-1], labels)
    axes.set_ylim(-0.6, max(len(labels), 1) - 0.4)
    axes.grid(visible=False, axis="y")
    for text in axes.get_yticklabels():
        text.set_parse_math(False)


def _legend(figure: Figure, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    # Below the axes, where a narrow screen shows most of it without scrolling.
    legend = figure.legend(
        handles, labels, loc="outside lower left", ncols=3, frameon=False, fontsize=9
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _note(axes: Axes, place: tuple[float, float], text: str, background: str) -> None:
    colour = "#FFFFFF" if background in _DARK else "#111111"
    axes.text(*place, text, ha="center", va="center", fontsize=8, color=colour)


def short(name: str) -> str:
    """A name that fits beside a picture."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def svg(figure: Figure) -> bytes:
    """The figure as SVG, the same bytes for the same figures."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    # Letters as shapes: the picture looks the same whatever fonts the reader has.
    settings = {"svg.hashsalt": "desirepath", "svg.fonttype": "path"}
    with mpl.rc_context(settings), warnings.catch_warnings():
        # A placement may be named in a script that the font lacks; the tables have the name.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
