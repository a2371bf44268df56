"""Small forests whose scores are obvious, and random ones, as the arrays of a bundle."""

from __future__ import annotations

import numpy as np

from recommender.forest_arrays import PARTS, array_name


def two_trees(head: str = "next_step") -> dict[str, np.ndarray]:
    """x0 ≤ 1 ? (x1 ≤ 0 or missing ? 1 : 2) : 4, and a tree that is one leaf of 0.5."""
    return named(
        head,
        feature=[0, 1],
        threshold=[1, 0],
        nan_left=[False, True],
        left=[1, ~0],
        right=[~2, ~1],
        leaf=[1, 2, 4, 0.5],
        offsets=[0, 2, 2],
    )


def named(head: str, **parts: object) -> dict[str, np.ndarray]:
    """Arrays of the right dtypes under the names that a bundle has for them."""
    return {
        array_name(head, part): np.array(parts[part], dtype) for part, (dtype, _) in PARTS.items()
    }


def random_forest(
    rng: np.random.Generator, leaves: list[int], features: int = 5, head: str = "next_step"
) -> dict[str, np.ndarray]:
    """Trees of these sizes and of random shapes, nodes and leaves numbered in random order."""
    parts: dict[str, list[float]] = {part: [] for part in PARTS}
    parts["offsets"].append(0)
    for size in leaves:
        _grow(rng, size, features, parts)
    return named(head, **parts)


def _grow(
    rng: np.random.Generator, size: int, features: int, parts: dict[str, list[float]]
) -> None:
    """Split a random leaf until there are enough; a leaf is known by where its parent names it."""
    begin, leaf_begin = len(parts["feature"]), len(parts["leaf"])
    open_leaves: list[tuple[str, int]] = [("root", 0)]
    for node in range(begin, begin + size - 1):
        side, parent = open_leaves.pop(int(rng.integers(len(open_leaves))))
        if side != "root":
            parts[side][parent] = node
        parts["feature"].append(int(rng.integers(features)))
        parts["threshold"].append(float(rng.integers(-2, 3)))
        parts["nan_left"].append(bool(rng.integers(2)))
        parts["left"].append(0)
        parts["right"].append(0)
        open_leaves += [("left", node), ("right", node)]
    numbers = leaf_begin + rng.permutation(size)
    for number, (side, parent) in zip(numbers, open_leaves, strict=True):
        if side != "root":
            parts[side][parent] = ~int(number)
    parts["leaf"] += rng.normal(size=size).tolist()
    parts["offsets"].append(begin + size - 1)


def walked(arrays: dict[str, np.ndarray], row: np.ndarray, head: str = "next_step") -> float:
    """Score of one row (f,) by following the children: slow, and plainly what is meant."""
    part = {name: arrays[array_name(head, name)] for name in PARTS}
    total = 0.0
    for tree, (begin, end) in enumerate(
        zip(part["offsets"][:-1], part["offsets"][1:], strict=True)
    ):
        place = int(begin) if end > begin else ~int(begin + tree)
        while place >= 0:
            value = row[part["feature"][place]]
            goes_left = part["nan_left"][place] if np.isnan(value) else None
            if goes_left is None:
                goes_left = min(value, np.finfo(np.float32).max) <= part["threshold"][place]
            place = int(part["left" if goes_left else "right"][place])
        total += float(part["leaf"][~place])
    return total
