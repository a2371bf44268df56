"""A LightGBM booster as flat arrays of a bundle: nothing of LightGBM is needed to score with them.

Features are float32 and LightGBM compares them with float64 thresholds, ``x <= t``: the largest
float32 that is not above t decides every float32 x the same way, so nothing is lost by it.
Before it compares, LightGBM reads what is as small as 1e-35 as 0; that, too, is a threshold's
matter: one among those small numbers moves to their edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from recommender.errors import ConfigError
from recommender.forest_arrays import MAX_LEAVES, PARTS, Arrays, array_name, heads_of
from recommender.terms import Float32Array, Float64Array

Node = Mapping[str, Any]

_ZERO = float(np.float32(1e-35))  # kZeroThreshold of LightGBM
_LARGEST = float(np.finfo(np.float32).max)


def export_forest(booster: lgb.Booster, head: str) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays of `recommender.forest_arrays`; the trees are those that ``booster.predict`` uses.

    Raises
    ------
    ConfigError
        The booster has what the arrays cannot say: categorical splits, zeros as missing values,
        linear leaves, several trees per iteration, averaged trees, features that were infinite in
        training, or more leaves in a tree than accepted.
    """
    model = booster.dump_model()
    _refuse_kind(model)
    rows = _Rows()
    for tree in model["tree_info"]:
        rows.add_tree(tree)
    return {array_name(head, part): array for part, array in rows.arrays().items()}


def mean_of(forests: Sequence[Arrays]) -> dict[str, npt.NDArray[np.generic]]:
    """The trees of all forests of one head; their leaves sum up to the mean of the forests."""
    (head,) = heads_of(forests[0])
    found = dict(forests[0])
    for forest in forests[1:]:
        found = joined(found, forest)
    leaves = array_name(head, "leaf")
    return found | {leaves: found[leaves].astype(np.float64) / len(forests)}


def joined(first: Arrays, second: Arrays) -> dict[str, npt.NDArray[np.generic]]:
    """The trees of one head behind those of another, as a head of the second one's name."""
    (begun,), (head,) = heads_of(first), heads_of(second)
    ones = {part: first[array_name(begun, part)] for part in PARTS}
    others = {part: second[array_name(head, part)] for part in PARTS}
    nodes, leaves = len(ones["feature"]), len(ones["leaf"])
    for side in ("left", "right"):
        child = others[side].astype(np.int32)
        others[side] = np.where(child >= 0, child + np.int32(nodes), child - np.int32(leaves))
    others["offsets"] = others["offsets"].astype(np.int64)[1:] + np.int64(nodes)
    return {array_name(head, part): np.concatenate([ones[part], others[part]]) for part in PARTS}


def exact_thresholds(thresholds: Float64Array) -> Float32Array:
    """float32 thresholds that decide every float32 as LightGBM decides it by these, float64."""
    moved = np.where((thresholds >= 0) & (thresholds < _ZERO), _ZERO, thresholds)
    # Just below the edge: the edge itself is read as 0, and 0 is above a negative threshold.
    moved = np.where((moved < 0) & (moved >= -_ZERO), np.nextafter(-_ZERO, -np.inf), moved)
    with np.errstate(over="ignore"):
        near = moved.astype(np.float32)
        below = np.nextafter(near, np.float32(-np.inf))
    return np.where(near.astype(np.float64) > moved, below, near).astype(np.float32)


def _refuse_kind(model: Mapping[str, Any]) -> None:
    if model["num_tree_per_iteration"] != 1:
        raise ConfigError(
            f"{model['num_tree_per_iteration']} trees per iteration; accepted: 1 (no multi-class)"
        )
    if model["average_output"]:
        raise ConfigError("boosting='rf' averages its trees; accepted: boosting that adds them")
    for name, seen in model["feature_infos"].items():
        # LightGBM writes infinity as 1e300; a split that tells it from a number would be lost.
        if max(abs(seen["min_value"]), abs(seen["max_value"])) > _LARGEST:
            raise ConfigError(
                f"feature {name} was {seen['min_value']}..{seen['max_value']} in training; "
                "accepted: float32, finite or NaN"
            )


class _Rows:
    """Nodes and leaves of all trees, as they are met from each root down, left first."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Any]] = {part: [] for part in PARTS}
        self._parts["offsets"].append(0)

    def add_tree(self, tree: Mapping[str, Any]) -> None:
        """Append one tree."""
        if tree["num_leaves"] > MAX_LEAVES:
            raise ConfigError(f"a tree of {tree['num_leaves']} leaves; accepted: {MAX_LEAVES}")
        self._add(tree["tree_structure"])
        self._parts["offsets"].append(len(self._parts["feature"]))

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Everything appended so far."""
        found: dict[str, npt.NDArray[np.generic]] = {
            part: np.array(self._parts[part], dtype)
            for part, (dtype, _) in PARTS.items()
            if part != "threshold"
        }
        found["threshold"] = exact_thresholds(np.array(self._parts["threshold"], np.float64))
        return found

    def _add(self, top: Node) -> None:
        # A stack and not a recursion: a chain of a thousand nodes is a legal tree.
        waiting: list[tuple[Node, str, int]] = [(top, "", 0)]
        while waiting:
            node, side, parent = waiting.pop()
            place = self._leaf(node) if "split_feature" not in node else self._node(node)
            if side:
                self._parts[side][parent] = place
            if place >= 0:
                waiting += [
                    (node["right_child"], "right", place),
                    (node["left_child"], "left", place),
                ]

    def _leaf(self, node: Node) -> int:
        if "leaf_const" in node:
            raise ConfigError("linear_tree=true gives leaves that are models; accepted: false")
        self._parts["leaf"].append(node["leaf_value"])
        return ~(len(self._parts["leaf"]) - 1)

    def _node(self, node: Node) -> int:
        threshold = _threshold(node)
        row = {
            "feature": node["split_feature"],
            "threshold": threshold,
            "nan_left": _nan_left(node, threshold),
            "left": 0,
            "right": 0,
        }
        for part, value in row.items():
            self._parts[part].append(value)
        return len(self._parts["feature"]) - 1


def _threshold(node: Node) -> float:
    if node["decision_type"] != "<=":
        raise ConfigError(
            f"feature {node['split_feature']} is categorical (split {node['decision_type']!r}); "
            "accepted: numerical features"
        )
    return float(node["threshold"])


def _nan_left(node: Node, threshold: float) -> bool:
    """Where a missing value goes; one that training never saw is a zero to LightGBM."""
    kind = node["missing_type"]
    if kind == "NaN":
        return bool(node["default_left"])
    if kind == "None":
        return threshold >= 0
    raise ConfigError(f"missing_type {kind!r} (zero_as_missing); accepted: zero_as_missing=false")
