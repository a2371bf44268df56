from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.newness import first_page

ITEMS = 24
CATEGORY = np.array([each % 6 - 1 for each in range(ITEMS)], np.int32)
CATEGORY.setflags(write=False)
some = st.lists(st.integers(0, ITEMS - 1), unique=True)


def by_hand(
    ranked: list[int], near: list[int], met: list[int], size: int, bounds: tuple[int, int]
) -> list[int]:
    """The plain definition; what is met elsewhere is looked for only while new items are."""
    new, familiar = list[int](), list[int]()
    for row, item in enumerate(ranked):
        if CATEGORY[item] in near:
            familiar.append(row)
        elif len(new) < size:
            (familiar if item in met else new).append(row)
    count = min(max(sum(row < size for row in new), bounds[0]), bounds[1], len(new))
    count = max(count, size - min(len(familiar), size))
    page = sorted([*new[:count], *familiar[: size - count]])
    return page + [row for row in range(len(ranked)) if row not in page]


@given(
    some.filter(len),
    st.lists(st.integers(0, 4), unique=True, max_size=3),
    some,
    st.integers(1, ITEMS),
    st.tuples(st.integers(0, ITEMS), st.integers(0, ITEMS)),
)
def test_the_page_has_as_many_new_items_as_there_may_be(
    ranked: list[int], near: list[int], met: list[int], size: int, bounds: tuple[int, int]
) -> None:
    size, bounds = min(size, len(ranked)), (min(bounds), max(bounds))
    known = np.array(near, np.int32), np.array(sorted(met), np.int32)
    order = first_page(np.array(ranked, np.int32), CATEGORY, known, size, bounds).tolist()
    assert (order or [*range(len(ranked))]) == by_hand(ranked, near, met, size, bounds)
