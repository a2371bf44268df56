"""The table of the next-basket protocol: one line per recommender, best first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.retail.figures import Figures, K


def table(found: Mapping[str, Any], product: str) -> list[str]:
    """Lines of text; the last column is the gain of the product over that recommender."""
    variants, gains = found["variants"], found["recall_gain_over"]
    columns = [name for name in variants[product] if name != "folds"]
    heads = [name.replace("_recall", "").replace(f"@{K}", "") for name in columns]
    rows = [["", *heads, "product's gain"]]
    for name in sorted(variants, key=lambda each: -variants[each][f"recall@{K}"]):
        cells = [_number(variants[name][column]) for column in columns]
        rows.append([name, *cells, _interval(gains.get(name))])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _interval(gain: Figures | None) -> str:
    if gain is None or gain["gain_percent"] is None:
        return "-"
    return f"{gain['gain_percent']:+.1f} % [{gain['low']:+.1f}, {gain['high']:+.1f}]"
