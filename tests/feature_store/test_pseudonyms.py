from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.pseudonyms import Pseudonyms, read_pseudonyms
from recommender.errors import ConfigError, DataError


@given(st.text(), st.text())
def test_pseudonyms_are_stable_distinct_and_keyed(one: str, other: str) -> None:
    names = Pseudonyms(b"a" * 32)
    assert names.of("visitor", one) == names.of("visitor", one)
    assert (names.of("visitor", one) == names.of("visitor", other)) == (one == other)
    assert names.of("visitor", one) != names.of("user", one)
    assert names.of("visitor", one) != Pseudonyms(b"b" * 32).of("visitor", one)
    assert "aaaa" not in repr(names)


def test_the_secret_of_a_store_is_read_and_never_made(tmp_path: Path) -> None:
    path = tmp_path / "pseudonym.key"
    with pytest.raises(DataError, match="copy it from the data folder of the service"):
        read_pseudonyms(path)
    assert not path.exists()
    path.write_bytes(b"b" * 32)
    assert read_pseudonyms(path) == Pseudonyms(b"b" * 32)
    path.write_bytes(b"short")
    with pytest.raises(ConfigError, match="holds 5 bytes"):
        read_pseudonyms(path)
