from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.board import HEAD, SIZE, Board


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.none()), min_size=1))
def test_the_last_word_is_heard(words: list[dict[str, object]]) -> None:
    board = Board()
    assert board.heard() == {}
    for word in words:
        board.say(word)
    assert board.heard() == words[-1]


def test_a_child_is_heard_by_its_parent() -> None:
    board = Board()
    pid = os.fork()
    if pid == 0:
        board.say({"state": "ready"})
        os._exit(0)
    os.waitpid(pid, 0)
    assert board.heard() == {"state": "ready"}


def test_half_a_word_is_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.board.LOOK_AGAIN_SECONDS", 0)
    board = Board()
    board.say({"state": "ready"})
    board._page[HEAD.size : HEAD.size + 4] = b"????"
    assert board.heard() == {}


def test_what_does_not_fit_is_refused() -> None:
    board = Board()
    with pytest.raises(ValueError, match="accepted"):
        board.say({"long": "x" * SIZE})
    assert board.heard() == {}
