"""Scores of regression trees, compiled: what a ranker learnt with gradient boosting gives each row.

Walking down a tree waits for memory and mispredicts branches at every step. Here all tests of a
tree run, on many rows at once and without a branch: a test that fails rules out the leaves of its
left subtree, each row keeps the leaves that are left as bits, and the lowest bit that remains is
its leaf (Lucchese et al. 2015, *QuickScorer*; the vectorised form of 2016). One test on 16 rows is
a compare and an and: measured against the walk in `benchmarks/forest.py`.

Notation: n rows, f features, a *test* is a node's condition on one word of 32 leaves (a node whose
left subtree lies in two words has two), a *column* is a feature with its missing values replaced:
by -∞ where they go left, by +∞ where they go right, so that ``x <= threshold`` is the whole rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from recommender.compiled import aligned, kernel, trailing_zeros
from recommender.errors import BundleError
from recommender.forest_arrays import Arrays, array_name
from recommender.terms import Float32Array, Float64Array, Int32Array, Int64Array

Records: TypeAlias = npt.NDArray[np.void]
Words: TypeAlias = npt.NDArray[np.uint32]

_WORD = 32
_ALL = np.uint32(0xFFFFFFFF)
_LARGEST = np.finfo(np.float32).max
_LANES = 16  # rows are padded to whole vectors of 64 bytes
_BLOCK = 256  # rows whose columns stay in the second-level cache


COLUMN = np.dtype([("feature", np.int32), ("missing", np.float32)])
TEST = np.dtype(
    [("column", np.int32), ("threshold", np.float32), ("word", np.int32), ("keep", np.uint32)]
)
TREE = np.dtype([("begin", np.int32), ("end", np.int32), ("leaves", np.int32), ("words", np.int32)])


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees of one head, laid out for `score`.

    Parameters
    ----------
    feature_count
        f, what `score` expects.
    columns
        `COLUMN` (columns,): the feature, and what stands for NaN in it, -∞ or +∞.
    tests
        `TEST` (tests,): column, threshold, word, and the leaves of that word that stay if it fails.
    trees
        `TREE` (trees,): bounds of its tests, its first leaf, and how many words its leaves take.
    leaf
        Values, left to right within a tree, float64 (leaves,).
    """

    feature_count: int
    columns: Records
    tests: Records
    trees: Records
    leaf: Float64Array

    @classmethod
    def from_arrays(cls, arrays: Arrays, head: str, feature_count: int) -> Forest:
        """Forest of a head from arrays that `recommender.bundle_schema` has checked.

        Raises
        ------
        BundleError
            A node asks for a feature that there is none of.
        """
        feature = np.asarray(arrays[array_name(head, "feature")], np.int32)
        if len(feature) and feature.max() >= feature_count:
            raise BundleError(
                f"{array_name(head, 'feature')}: feature {feature.max()}; there are {feature_count}"
            )
        return _laid_out(arrays, head, feature_count)

    def score(self, features: Float32Array) -> Float64Array:
        """Sum of the leaves that each row reaches, in the order of the trees.

        Parameters
        ----------
        features
            float32 (n, f), best one column behind the other in memory; NaN is a missing value, ∞
            counts as the largest float32.

        Returns
        -------
        float64 (n,).

        Raises
        ------
        ValueError
            Not float32, or not f columns.
        """
        if features.dtype != np.float32 or features.shape[1:] != (self.feature_count,):
            raise ValueError(
                f"features {features.dtype} {features.shape}; accepted: float32 "
                f"(n, {self.feature_count})"
            )
        lines = np.require(features.T, requirements=("C", "W"))
        return _score(lines, self.columns, self.tests, self.trees, self.leaf)


def _laid_out(arrays: Arrays, head: str, feature_count: int) -> Forest:
    offsets, left, right = (
        np.asarray(arrays[array_name(head, part)], np.int64)
        for part in ("offsets", "left", "right")
    )
    first, until, rank = _left_spans(left, right, offsets)
    node, word = _words(first, until)
    columns, column = _columns(arrays, head)
    sizes, begins = np.diff(offsets), offsets[:-1] + np.arange(len(offsets) - 1)
    leaf = np.empty(len(rank), np.float64)
    leaf[rank + np.repeat(begins, sizes + 1)] = arrays[array_name(head, "leaf")]
    bounds = np.searchsorted(node, offsets)
    return Forest(
        feature_count,
        _records(COLUMN, columns >> 1, np.where(columns & 1, -np.inf, np.inf)),
        _records(
            TEST,
            column[node],
            arrays[array_name(head, "threshold")][node],
            word,
            _kept(first[node] - _WORD * word, until[node] - _WORD * word),
        ),
        _records(TREE, bounds[:-1], bounds[1:], begins, sizes // _WORD + 1),
        leaf,
    )


def _records(dtype: np.dtype[np.void], *fields: npt.NDArray[np.generic]) -> Records:
    found = np.empty(len(fields[0]), dtype)
    for name, values in zip(dtype.names or (), fields, strict=True):
        found[name] = values
    return found


def _left_spans(
    left: Int64Array, right: Int64Array, offsets: Int64Array
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Leaves of each node's left subtree, numbered left to right within the tree.

    Returns
    -------
    First one and the one after the last, int64 (nodes,) each, and each leaf's own number, int64
    (leaves,).
    """
    levels = _levels(left, right, offsets)
    count = np.zeros(len(left), np.int64)
    for level in reversed(levels):
        count[level] = _leaves(left[level], count) + _leaves(right[level], count)
    first = np.zeros(len(left), np.int64)
    rank = np.zeros(len(left) + len(offsets) - 1, np.int64)
    for level in levels:
        middle = first[level] + _leaves(left[level], count)
        for child, begin in ((left[level], first[level]), (right[level], middle)):
            is_node = child >= 0
            first[child[is_node]] = begin[is_node]
            rank[~child[~is_node]] = begin[~is_node]
    return first, first + _leaves(left, count), rank


def _levels(left: Int64Array, right: Int64Array, offsets: Int64Array) -> list[Int64Array]:
    """Nodes of all trees by their depth."""
    found = []
    level = offsets[:-1][np.diff(offsets) > 0]
    while len(level):
        found.append(level)
        children = np.concatenate([left[level], right[level]])
        level = children[children >= 0]
    return found


def _leaves(child: Int64Array, count: Int64Array) -> Int64Array:
    if not len(count):
        return np.ones(len(child), np.int64)
    return np.where(child < 0, 1, count[np.maximum(child, 0)])


def _words(first: Int64Array, until: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Node and word of each test: one for each word that the node's left leaves touch."""
    begin = first // _WORD
    touched = (until - 1) // _WORD - begin + 1
    node = np.repeat(np.arange(len(first)), touched)
    within = np.arange(len(node)) - np.repeat(np.cumsum(touched) - touched, touched)
    return node, begin[node] + within


def _kept(first: Int64Array, until: Int64Array) -> Words:
    """Words in which the bits from first until the other are 0, uint32."""
    below = (np.int64(1) << np.clip(first, 0, _WORD)) - 1
    ruled_out = ((np.int64(1) << np.clip(until, 0, _WORD)) - 1) ^ below
    return (ruled_out ^ int(_ALL)).astype(np.uint32)


def _columns(arrays: Arrays, head: str) -> tuple[Int64Array, Int64Array]:
    """Distinct (feature, side that NaN takes) as 2 feature + side, and each node's among them."""
    feature = np.asarray(arrays[array_name(head, "feature")], np.int64)
    wanted = 2 * feature + np.asarray(arrays[array_name(head, "nan_left")], np.int64)
    columns, column = np.unique(wanted, return_inverse=True)
    return columns, column


@kernel
def _fill(lines: Float32Array, begin: int, end: int, columns: Records, table: Float32Array) -> None:
    """The columns of these rows; of `lines` each one is a feature, float32 (f, n)."""
    for column in range(columns.size):
        values, into = lines[columns[column].feature, begin:end], table[column]
        missing = columns[column].missing
        for row in range(len(values)):
            value = values[row]
            into[row] = missing if np.isnan(value) else min(value, _LARGEST)


@kernel
def _rule_out(table: Float32Array, tests: Records, bits: Words) -> None:
    for test in tests:
        values, left = table[test.column], bits[test.word]
        threshold, keep = test.threshold, test.keep
        for row in range(values.size):
            left[row] &= _ALL if values[row] <= threshold else keep


@kernel
def _lowest(bits: Words, lowest: Int32Array) -> None:
    # Upwards, or LLVM does not vectorise. An empty word has 32 trailing zeros: the next one counts.
    lowest[:] = 0
    for word in range(bits.shape[0]):
        left = bits[word]
        for row in range(lowest.size):
            zeros = np.int32(trailing_zeros(left[row]))
            lowest[row] += zeros if lowest[row] == _WORD * word else 0


@kernel
def _score(
    lines: Float32Array, columns: Records, tests: Records, trees: Records, leaf: Float64Array
) -> Float64Array:
    n = lines.shape[1]
    rows = min(_BLOCK, (n + _LANES - 1) // _LANES * _LANES)
    table = aligned(columns.size, rows, np.float32)
    bits = aligned(trees["words"].max() if trees.size else 0, rows, np.uint32)
    lowest = aligned(1, rows, np.int32)[0]
    total = np.zeros(n, np.float64)
    for begin in range(0, n, _BLOCK):
        end = min(n, begin + _BLOCK)
        _fill(lines, begin, end, columns, table)
        for tree in trees:
            words = bits[: tree.words]
            words[:] = _ALL
            _rule_out(table, tests[tree.begin : tree.end], words)
            _lowest(words, lowest)
            sums, leaves = total[begin:end], leaf[tree.leaves :]
            for row in range(len(sums)):
                sums[row] += leaves[np.uint32(lowest[row])]
    return total
