"""Regression trees as flat arrays of a bundle: names, shapes, and what makes them acceptable.

Notation: the trees of one *head* (what the ranker is asked for, ``next_step``, ``purchase``) lie
one behind the other. Tree t has the nodes ``offsets[t]`` to ``offsets[t + 1]``, its root first, and
one leaf more than nodes: ``offsets[t] + t`` to ``offsets[t + 1] + t + 1``. A child is a node where
it is ≥ 0 and leaf ``~child`` where it is negative. A row goes to the left child if its feature is
≤ the threshold, or is NaN and ``nan_left`` says so; ∞ is read as the largest float32.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from recommender.errors import BundleError
from recommender.terms import BoolArray, Int64Array

MAX_LEAVES: Final = 1_024
PARTS: Final[dict[str, tuple[str, str]]] = {
    "feature": ("int32", "nodes"),
    "threshold": ("float32", "nodes"),
    "nan_left": ("bool", "nodes"),
    "left": ("int32", "nodes"),
    "right": ("int32", "nodes"),
    "leaf": ("float64", "leaves"),
    "offsets": ("int64", "trees+1"),
}
NAME = re.compile(rf"forest_([a-z][a-z0-9_]{{0,40}}?)_({'|'.join(PARTS)})")
Arrays: TypeAlias = Mapping[str, npt.NDArray[np.generic]]


def array_name(head: str, part: str) -> str:
    """Name of an array in the bundle."""
    return f"forest_{head}_{part}"


def dtype_and_dim(name: str) -> tuple[str, str] | None:
    """Data type and dimension of a forest's array; None where the name is not one."""
    if (match := NAME.fullmatch(name)) is None:
        return None
    dtype, dim = PARTS[match[2]]
    return dtype, f"{match[1]}_{dim}"


def heads_of(names: Iterable[str]) -> list[str]:
    """Heads whose forests have arrays among these names, sorted."""
    return sorted({match[1] for name in names if (match := NAME.fullmatch(name))})


def check_forest(arrays: Arrays, head: str) -> None:
    """Raise `BundleError` unless a head's arrays are all there and each tree is one.

    dtypes, equal lengths and finiteness are checked before, by `recommender.bundle_schema`.
    """
    if missing := [name for name in _names(head) if name not in arrays]:
        raise BundleError(f"forest {head}: arrays missing: {', '.join(missing)}")
    part = {name: arrays[array_name(head, name)] for name in PARTS}
    offsets = np.asarray(part["offsets"], np.int64)
    _check_offsets(head, offsets, nodes=len(part["feature"]), leaves=len(part["leaf"]))
    if len(part["feature"]) and part["feature"].min() < 0:
        raise BundleError(f"{array_name(head, 'feature')}: a feature index below 0")
    _check_children(head, np.stack([part["left"], part["right"]]).astype(np.int64), offsets)


def _names(head: str) -> list[str]:
    return [array_name(head, part) for part in PARTS]


def _check_offsets(head: str, offsets: Int64Array, *, nodes: int, leaves: int) -> None:
    name = array_name(head, "offsets")
    sizes = np.diff(offsets)
    if offsets[0] != 0 or offsets[-1] != nodes or (sizes < 0).any():
        raise BundleError(f"{name}: does not span the {nodes} nodes")
    if (sizes >= MAX_LEAVES).any():
        raise BundleError(
            f"{name}: a tree of {sizes.max() + 1} leaves; accepted: up to {MAX_LEAVES}"
        )
    if leaves != nodes + len(sizes):
        raise BundleError(
            f"{array_name(head, 'leaf')}: {leaves} leaves; {len(sizes)} trees of {nodes} nodes "
            f"have {nodes + len(sizes)}"
        )


def _check_children(head: str, children: Int64Array, offsets: Int64Array) -> None:
    """Each node but a root, and each leaf, is the child of exactly one earlier node of its tree.

    Then every path from a root ends, within its own tree, at a leaf.
    """
    sizes = np.diff(offsets)
    tree = np.repeat(np.arange(len(sizes)), sizes)
    to_node = children >= 0
    low, high = offsets[:-1][tree], offsets[1:][tree]
    after = (children > np.arange(len(tree))) & (children < high)
    leaf = (~children >= low + tree) & (~children < high + tree + 1)
    if not np.where(to_node, after, leaf).all():
        raise BundleError(f"forest {head}: a child outside its tree or not after its parent")
    roots = offsets[:-1][sizes > 0]
    expected = np.setdiff1d(np.arange(len(tree)), roots)
    lonely = (offsets[:-1] + np.arange(len(sizes)))[sizes == 0]
    leaves = np.setdiff1d(np.arange(len(tree) + len(sizes)), lonely)
    if not (_are(children, to_node, expected) and _are(~children, ~to_node, leaves)):
        raise BundleError(f"forest {head}: a node or leaf that has not exactly one parent")


def _are(values: Int64Array, where: BoolArray, expected: Int64Array) -> bool:
    return np.array_equal(np.sort(values[where]), expected)
