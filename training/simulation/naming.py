"""Readable made-up names for brands and products."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

_ONSETS = ("Bra", "Cal", "Dor", "Elm", "Fen", "Gal", "Hal", "Iver", "Jun", "Kel", "Lum", "Mar")
_CODAS = (
    "bury",
    "dale",
    "ence",
    "ford",
    "hus",
    "ino",
    "low",
    "mont",
    "ney",
    "quist",
    "vik",
    "wood",
)
_QUALITIES = (
    "Classic", "Compact", "Everyday", "Fine", "Gentle", "Grand", "Heritage", "Light", "Lively",
    "Natural", "Nordic", "Plain", "Pure", "Quiet", "Rustic", "Signature", "Soft", "Sturdy",
    "Sunny", "Urban", "Vivid", "Warm",
)  # fmt: skip
_VARIANTS = (
    "Amber", "Basil", "Cedar", "Clay", "Coral", "Fern", "Flint", "Hazel", "Indigo", "Ivory",
    "Jade", "Linen", "Maple", "Moss", "Ochre", "Olive", "Pearl", "Sage", "Sand", "Slate",
    "Teal", "Walnut",
)  # fmt: skip


def brand_names(rng: np.random.Generator, n: int) -> list[str]:
    """Give `n` different brand names."""
    pairs = [first + last for first, last in itertools.product(_ONSETS, _CODAS)]
    order = rng.permutation(len(pairs))
    return [
        pairs[order[i % len(pairs)]] + (f" {i // len(pairs) + 1}" if i >= len(pairs) else "")
        for i in range(n)
    ]


def titles(rng: np.random.Generator, brands: Sequence[str], nouns: Sequence[str]) -> list[str]:
    """Give one title per item, such as ``"Halvik Quiet Desk Lamp Moss"``; repeats get a number.

    Parameters
    ----------
    brands, nouns
        Brand and product word of each item, equally long.
    """
    qualities = rng.integers(len(_QUALITIES), size=len(nouns)).tolist()
    variants = rng.integers(len(_VARIANTS), size=len(nouns)).tolist()
    used: dict[str, int] = {}
    named = []
    for brand, quality, noun, variant in zip(brands, qualities, nouns, variants, strict=True):
        title = f"{brand} {_QUALITIES[quality]} {noun} {_VARIANTS[variant]}"
        used[title] = used.get(title, 0) + 1
        named.append(title if used[title] == 1 else f"{title} {used[title]}")
    return named
