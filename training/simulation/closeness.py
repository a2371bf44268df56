"""Kernels of `training.simulation.utility`: what is asked for every place of every list.

Notation as there; n visits, k places.
"""

from __future__ import annotations

import numpy as np

from recommender.compiled import kernel
from recommender.terms import BoolArray, Int32Array


@kernel
def times_in(items: Int32Array, memory: Int32Array) -> Int32Array:
    """How often each visit's memory, int32 (n, c), has an item, int32 (n, k); 0 where it is -1."""
    found = np.zeros(items.shape, np.int32)
    for visit in range(items.shape[0]):
        for place in range(items.shape[1]):
            item, count = items[visit, place], 0
            for remembered in memory[visit]:
                count += remembered == item
            found[visit, place] = count if item >= 0 else 0
    return found


@kernel
def relations(
    leaf: Int32Array,
    need: Int32Array,
    department: Int32Array,
    section: Int32Array,
    interests: Int32Array,
    is_browsing: BoolArray,
) -> Int32Array:
    """The relation r of each place, int32 (n, k).

    Parameters
    ----------
    leaf
        Leaf of the item at each place, int32 (n, k).
    need
        Leaf of what is needed, int32 (n,).
    department, section
        Of each leaf, int32 (leaves,).
    interests
        Leaves that count as the same section to those who browse, int32 (n, c).
    is_browsing
        bool (n,).
    """
    found = np.empty(leaf.shape, np.int32)
    for visit in range(leaf.shape[0]):
        needed = need[visit]
        for place in range(leaf.shape[1]):
            own = leaf[visit, place]
            relation = 3
            relation -= department[own] == department[needed]
            relation -= section[own] == section[needed]
            relation -= own == needed
            if is_browsing[visit] and relation > 1:
                for liked in interests[visit]:
                    if own == liked:
                        relation = 1
            found[visit, place] = relation
    return found
