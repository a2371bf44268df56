from __future__ import annotations

import pytest

from recommender.errors import ConfigError
from training.simulation.assortment import Leaf, check_pairs, read_leaves


def test_paths_are_unique_and_prices_positive() -> None:
    leaves = read_leaves(1000)
    assert len({leaf.path for leaf in leaves}) == len(leaves) > 40
    assert min(leaf.price for leaf in leaves) > 0
    assert all(0.0 <= leaf.swing <= 1.0 and 1 <= leaf.peak <= 12 for leaf in leaves)


def test_there_are_consumables_and_durables() -> None:
    assert {leaf.every > 0 for leaf in read_leaves(1000)} == {True, False}


def test_a_pair_with_an_unknown_leaf_is_refused() -> None:
    with pytest.raises(ConfigError, match="a/b/typo"):
        check_pairs([Leaf("a/b/c", "C", 1.0, goes_with=("a/b/typo",))])
