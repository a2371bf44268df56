"""Reports as self-contained pages: no script, nothing from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training.reports.list_pictures import costs_picture, gaps_picture, reliability_picture
from training.reports.pictures import critical_picture, exits_picture, flow_picture

_FOLDER = Path(__file__).parent
_NONE = "\u2013"

Interval = Mapping[str, float]


def render(name: str, figures: Mapping[str, Any]) -> str:
    """The page of a report by its name, as the command line has it."""
    return {
        "journeys": render_page,
        "expectation": render_expectation,
        "intrusiveness": render_intrusiveness,
    }[name](figures)


def render_page(figures: Mapping[str, Any]) -> str:
    """The page of the journey report."""
    pictures = {"flow": flow_picture(figures), "exits": exits_picture(figures)}
    if figures["critical"]:
        pictures["critical"] = critical_picture(figures)
    return _rendered("journeys", figures, pictures)


def render_expectation(figures: Mapping[str, Any]) -> str:
    """The page of the expectation report."""
    pictures = {"gaps": gaps_picture(figures), "reliability": reliability_picture(figures)}
    return _rendered("expectation", figures, pictures)


def render_intrusiveness(figures: Mapping[str, Any]) -> str:
    """The page of the intrusiveness report."""
    return _rendered("intrusiveness", figures, {"costs": costs_picture(figures)})


def _rendered(name: str, figures: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The page of a report's figures. Whatever comes from the log is escaped by the template."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": count,
        "percent": percent,
        "share": share,
        "points": points,
        "steps": steps,
        "times": times,
        "hundred": hundred,
    }
    return environment.get_template(f"{name}.html").render(
        r=figures,
        css=(_FOLDER / "journeys.css").read_text("utf-8"),
        pictures={key: _address(svg) for key, svg in pictures.items()},
    )


def _address(svg: bytes) -> str:
    # As an image, so that nothing inside it could ever run.
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def count(value: float) -> str:
    """A whole number with thousands set apart."""
    return f"{value:,.0f}"


def percent(value: float) -> str:
    """A share as a percentage."""
    return f"{100 * value:.1f} %"


def share(interval: Interval | None) -> str:
    """A share with its interval."""
    if interval is None:
        return _NONE
    low, high = (f"{100 * interval[end]:.1f}" for end in ("low", "high"))
    return f"{100 * interval['mean']:.1f} % [{low}, {high}]"


def points(interval: Interval | None) -> str:
    """A difference of shares, in percentage points."""
    if interval is None:
        return _NONE
    mean, low, high = (f"{100 * interval[end]:+.1f}" for end in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def steps(interval: Interval | None) -> str:
    """A mean number of steps."""
    if interval is None:
        return _NONE
    return f"{interval['mean']:.2f} [{interval['low']:.2f}, {interval['high']:.2f}]"


def hundred(interval: Interval | None) -> str:
    """A share without its sign, or a mean number in a hundred."""
    if interval is None:
        return _NONE
    mean, low, high = (f"{100 * interval[end]:.1f}" for end in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def times(interval: Interval | None) -> str:
    """A ratio."""
    if interval is None:
        return _NONE
    return f"{interval['mean']:.2f} \u00d7 [{interval['low']:.2f}, {interval['high']:.2f}]"
