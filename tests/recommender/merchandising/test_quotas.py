from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recommender.merchandising.quotas import MATCHED, NO_ROW, NOT_COUNTED, Quota

VALUES = [NOT_COUNTED, MATCHED, MATCHED, 1, 1, 2]
rows = st.sampled_from(range(len(VALUES)))


def strain(rows: list[int], at_least: int, at_most: int | None) -> int:
    """By how much a list of these rows breaks a quota."""
    counts = [sum(VALUES[row] == value for row in rows) for value in range(3)]
    over = sum(max(0, count - at_most) for count in counts) if at_most is not None else 0
    return over + max(0, at_least - counts[MATCHED])


@given(
    st.lists(rows, max_size=8),
    st.integers(0, 3),
    st.none() | st.integers(0, 3),
    rows,
    st.booleans(),
)
def test_an_exchange_is_allowed_where_it_breaks_nothing_by_more(
    held: list[int], at_least: int, at_most: int | None, row: int, replaces: bool
) -> None:
    quota = Quota("q", VALUES, at_least, at_most)
    for each in held:
        quota.exchange(each, NO_ROW)
    gone = held[0] if held and replaces else NO_ROW
    after = [*(held[1:] if gone != NO_ROW else held), row]
    expected = strain(after, at_least, at_most) <= strain(held, at_least, at_most)
    assert quota.allows(row, gone) == expected
    quota.exchange(row, gone)
    assert all(quota.counts[value] == [VALUES[e] for e in after].count(value) for value in range(3))
