from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.pseudonyms import Pseudonyms
from recommender.errors import ConfigError
from serving.errors import Problem
from serving.key_source import CHECK_SECONDS, KeySource
from serving.security import (
    ADMIN,
    PUBLIC,
    SUGGEST,
    WRITE,
    AccessTable,
    Caller,
    Keyring,
    Rule,
    authorise,
    create_key_file,
    presented_key,
    read_secret,
)


def test_the_first_keys_open_what_they_are_for(tmp_path: Path) -> None:
    path = tmp_path / "data" / "keys.json"
    keys = create_key_file(path, os.urandom)
    ring = Keyring.read(path)
    assert ring.find(keys["server"]) == Caller("server", frozenset({SUGGEST, WRITE}))
    assert ring.find(keys["browser"]) == Caller("browser", frozenset({WRITE}), is_browser=True)
    assert ring.find(keys["admin"]) == Caller("admin", frozenset({SUGGEST, WRITE, ADMIN}))
    assert ring.find(keys["admin"][:-1]) is None
    assert ring.find("") is None
    assert ring.find("\ud800é") is None


def test_only_hashes_are_kept_and_only_for_the_owner(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys = create_key_file(path, os.urandom)
    assert len(set(keys.values())) == len(keys)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    stored = path.read_text()
    assert not any(key in stored for key in keys.values())
    assert hashlib.sha256(keys["server"].encode()).hexdigest() in stored
    assert [each.name for each in tmp_path.iterdir()] == ["keys.json"]


def test_existing_keys_are_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    create_key_file(path, os.urandom)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        create_key_file(path, os.urandom)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        '{"keys": [{"name": "a", "sha256": "00", "scopes": ["suggest"]}]}',
        '{"keys": [{"name": "a", "sha256": "%s", "scopes": ["everything"]}]}' % ("0" * 64),
        '{"keys": [{"name": "a", "sha256": "%s", "scopes": ["write"]}]}' % ("z" * 64),
        '{"keys": [], "more": 1}',
    ],
)
def test_a_bad_keys_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(ConfigError):
        Keyring.read(path)


def test_keys_are_replaced_while_the_service_runs(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    old = create_key_file(path, os.urandom)["server"]
    now = [0.0]
    source = KeySource(path, lambda: now[0])
    assert source.find(old)
    path.unlink()
    new = create_key_file(path, os.urandom)["server"]
    assert source.find(old)
    now[0] += CHECK_SECONDS
    assert source.find(new)
    assert source.find(old) is None
    path.write_text("rubbish")
    now[0] += CHECK_SECONDS
    assert source.find(new)


def test_without_a_file_everybody_is_the_developer() -> None:
    source = KeySource(None, lambda: 0.0)
    assert source.find(None) == source.find("anything")
    assert source.find(None).scopes == {SUGGEST, WRITE, ADMIN}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("caller", "needed", "status"),
    [
        (None, PUBLIC, None),
        (Caller("a", frozenset({WRITE})), PUBLIC, None),
        (None, {WRITE}, 401),
        (Caller("a", frozenset({WRITE})), {WRITE}, None),
        (Caller("a", frozenset({WRITE})), {SUGGEST, ADMIN}, 403),
        (Caller("a", frozenset()), {SUGGEST}, 403),
    ],
)
def test_authorise(caller: Caller | None, needed: set[str], status: int | None) -> None:
    if status is None:
        authorise(caller, needed)
        return
    with pytest.raises(Problem) as caught:
        authorise(caller, needed)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([], None),
        ([(b"x-api-key", b"k")], "k"),
        ([(b"authorization", b"Bearer k")], "k"),
        ([(b"authorization", b"bearer  k ")], "k"),
        ([(b"authorization", b"Basic k")], None),
        ([(b"x-api-key", b"\xff")], "\xff"),
    ],
)
def test_presented_key(headers: list[tuple[bytes, bytes]], key: str | None) -> None:
    assert presented_key(headers) == key


def test_what_has_no_rule_is_not_there() -> None:
    access = AccessTable()
    access.add(Rule("GET", "/v1/things/{id}", PUBLIC))
    access.add(Rule("POST", "/v1/things", PUBLIC))
    assert access.match("GET", "/v1/things/a/b").template == "/v1/things/{id}"
    for method, path, status in [
        ("GET", "/v1/things/", 404),
        ("GET", "/v1/other", 404),
        ("GET", "/v1/things", 405),
        ("DELETE", "/v1/things/a", 405),
        ("POST", "/v1/things/", 404),
    ]:
        with pytest.raises(Problem) as caught:
            access.match(method, path)
        assert caught.value.status == status
    with pytest.raises(ValueError, match="two rules"):
        access.add(Rule("POST", "/v1/things", PUBLIC))


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "data" / "pseudonym.key"
    secret = read_secret(path, os.urandom)
    assert read_secret(path, os.urandom) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"short")
    with pytest.raises(ConfigError):
        read_secret(path, os.urandom)


@given(st.text(), st.text())
def test_pseudonyms_are_stable_distinct_and_keyed(one: str, other: str) -> None:
    names = Pseudonyms(b"a" * 32)
    assert names.of("visitor", one) == names.of("visitor", one)
    assert (names.of("visitor", one) == names.of("visitor", other)) == (one == other)
    assert names.of("visitor", one) != names.of("user", one)
    assert names.of("visitor", one) != Pseudonyms(b"b" * 32).of("visitor", one)
    assert "aaaa" not in repr(names)
