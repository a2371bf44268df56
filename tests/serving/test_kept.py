from __future__ import annotations

from serving.kept import MOST_KEPT, MadeOnce


def test_the_same_object_is_made_something_of_once() -> None:
    made: list[object] = []
    kept: MadeOnce[int] = MadeOnce()
    source, equal = tuple(range(2)), tuple(range(2))

    def make(given: tuple[int, ...]) -> int:
        made.append(given)
        return len(made)

    assert [kept.of(source, make), kept.of(source, make), kept.of(equal, make)] == [1, 1, 2]


def test_an_object_that_has_gone_is_not_mistaken_for_another() -> None:
    kept: MadeOnce[str] = MadeOnce()
    for number in range(10 * MOST_KEPT):
        assert kept.of((f"{number}",), lambda given: given[0]) == f"{number}"
