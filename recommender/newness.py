"""The kernel of `recommender.novelty`: a first page with so many items that are new."""

from __future__ import annotations

import numpy as np

from recommender.compiled import kernel
from recommender.terms import Int32Array, Int64Array


@kernel
def first_page(
    item_idx: Int32Array,
    item_category: Int32Array,
    known: tuple[Int32Array, Int32Array],
    size: int,
    bounds: tuple[int, int],
) -> Int64Array:
    """Rows of a ranking with the page in front and what was put aside behind it.

    int64 (n,), or (0,) where nothing moves.

    Parameters
    ----------
    item_idx
        Best first, int32 (n,).
    item_category
        Of all items of the catalogue, -1 where it is not known, int32 (items,).
    known
        Categories in which no item is new, int32 (c,), and items that are not new wherever they
        are, rising, int32 (m,).
    size
        Length of the page, at most n.
    bounds
        How many items of the page are new, at least and at most, as far as there are such.
    """
    near, met = known
    new, familiar = np.empty(size, np.int64), np.empty(size, np.int64)
    many_new = many_familiar = of_first = 0
    for row in range(len(item_idx)):
        if many_new == many_familiar == size:
            break
        is_near = np.any(near == item_category[item_idx[row]])
        if is_near or (many_new < size and _is_met(item_idx[row], met)):
            if many_familiar < size:
                familiar[many_familiar] = row
                many_familiar += 1
        elif many_new < size:
            new[many_new] = row
            many_new += 1
            of_first += row < size
    count = min(max(of_first, bounds[0]), bounds[1], many_new)
    count = max(count, size - many_familiar)
    page = np.sort(np.concatenate((new[:count], familiar[: size - count])))
    if page[size - 1] == size - 1:
        return page[:0]
    return _in_front(page, len(item_idx))


@kernel
def _is_met(item: int, met: Int32Array) -> bool:
    at = np.searchsorted(met, item)
    return bool(at < len(met) and met[at] == item)


@kernel
def _in_front(page: Int64Array, count: int) -> Int64Array:
    """Some of `count` rows, which rise, then the others."""
    order = np.empty(count, np.int64)
    order[: len(page)] = page
    filled, next_of_page = len(page), 0
    for row in range(count):
        if next_of_page < len(page) and page[next_of_page] == row:
            next_of_page += 1
        else:
            order[filled] = row
            filled += 1
    return order
