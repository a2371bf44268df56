"""Who may do what: API keys with scopes, and the table that says which scope opens which route.

A key is 32 random bytes, so a plain sha256 of it cannot be searched for; only that is stored. A
path without a rule is answered 404 before the application sees it: default deny.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from feature_store.pseudonyms import SECRET_BYTES, checked_secret
from recommender.errors import ConfigError
from serving.errors import Problem

SUGGEST, WRITE, ADMIN = "suggest", "write", "admin"
SCOPES = (SUGGEST, WRITE, ADMIN)
PUBLIC: frozenset[str] = frozenset()
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Parameters
    ----------
    name
        Name of the key, for the log.
    is_browser
        The key is in the hands of everybody: no scores, no explanations, no user ids.
    """

    name: str
    scopes: frozenset[str]
    is_browser: bool = False


DEVELOPER = Caller("dev", frozenset(SCOPES))
NOBODY = Caller("nobody", frozenset())


class StoredKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of the keys file."""

    name: str
    sha256: str
    scopes: tuple[str, ...]
    browser: bool = False


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys file. Two keys of one scope may live side by side while one replaces the other."""

    keys: tuple[StoredKey, ...]


FIRST_KEYS = (
    ("server", (SUGGEST, WRITE), False),
    ("browser", (WRITE,), True),
    ("admin", SCOPES, False),
)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys that open the service.

    Parameters
    ----------
    callers
        By sha256 of their key.
    """

    callers: Mapping[bytes, Caller]

    @classmethod
    def read(cls, path: Path) -> Keyring:
        """Read a keys file. Raises `ConfigError`."""
        try:
            stored = msgspec.json.decode(path.read_bytes(), type=KeyFile).keys
            return cls({bytes.fromhex(key.sha256): _caller_of(key) for key in stored})
        except (OSError, ValueError) as error:
            raise ConfigError(f"keys file {path}: {error}") from error

    def find(self, key: str) -> Caller | None:
        """Caller of a key.

        How long it takes tells nothing: digests are looked up, and nobody can choose of which bytes
        the digest of a guess begins.
        """
        return self.callers.get(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest())


def create_key_file(path: Path, random_bytes: Callable[[int], bytes]) -> dict[str, str]:
    """Make the first keys and store their hashes in a new file that only its owner may read.

    Returns
    -------
    dict
        The keys themselves, by name. They exist nowhere else.
    """
    keys = {name: f"dp_{name}_{_text(random_bytes(KEY_BYTES))}" for name, _, _ in FIRST_KEYS}
    stored = [
        StoredKey(name, hashlib.sha256(keys[name].encode()).hexdigest(), scopes, is_browser)
        for name, scopes, is_browser in FIRST_KEYS
    ]
    content = msgspec.json.format(msgspec.json.encode(KeyFile(tuple(stored))))
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_private(path, content + b"\n")
    return keys


def read_secret(path: Path, random_bytes: Callable[[int], bytes]) -> bytes:
    """The secret of this shop's pseudonyms; made on first use."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():  # a service that starts again must not need space for it
        with contextlib.suppress(FileExistsError):
            _write_private(path, random_bytes(SECRET_BYTES))
    return checked_secret(path)


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may use a route.

    Parameters
    ----------
    template
        Path of the route; a parameter in braces takes the whole rest of the path.
    scopes
        Any of them opens it; none at all means that everybody may.
    takes_beacons
        A text/plain body without a key in its headers may carry the key inside.
    """

    method: str
    template: str
    scopes: frozenset[str]
    takes_beacons: bool = False


@dataclass(slots=True)
class AccessTable:
    """All rules. What has none is not reachable."""

    rules: dict[tuple[str, str], Rule] = field(default_factory=dict)

    def add(self, rule: Rule) -> None:
        """Open a route. Raises `ValueError` where it is open already."""
        key = (rule.method, rule.template)
        if key in self.rules:
            raise ValueError(f"{key} has two rules")
        self.rules[key] = rule

    def match(self, method: str, path: str) -> Rule:
        """Rule of a request. Raises `Problem` 404 or 405."""
        if rule := self.rules.get((method, path)):
            return rule
        templates = {each.template for each in self.rules.values() if _covers(each.template, path)}
        for template in templates:
            if rule := self.rules.get((method, template)):
                return rule
        if not templates:
            raise Problem(404, "unknown_path", "There is nothing at this path; see /openapi.json.")
        methods = sorted(rule.method for rule in self.rules.values() if rule.template in templates)
        raise Problem(405, "method_not_allowed", f"Accepted here: {', '.join(methods)}.")


def authorise(caller: Caller | None, scopes: Iterable[str]) -> Caller:
    """Let a caller pass, or raise `Problem` 401 or 403. No scopes means that everybody may."""
    needed = frozenset(scopes)
    if not needed:
        return caller or NOBODY
    if caller is None:
        detail = "A key is needed: 'Authorization: Bearer <key>' or 'X-API-Key: <key>'."
        raise Problem(401, "key_missing_or_unknown", detail)
    if not needed & caller.scopes:
        detail = (
            f"This key has the scopes {sorted(caller.scopes)}; one of {sorted(needed)} is needed."
        )
        raise Problem(403, "scope_missing", detail)
    return caller


def presented_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The key in the headers of a request."""
    for name, value in headers:
        if name == b"x-api-key":
            return value.decode("latin-1")
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip().decode("latin-1")
    return None


def _covers(template: str, path: str) -> bool:
    fixed, brace, _ = template.partition("{")
    return path.startswith(fixed) and len(path) > len(fixed) if brace else path == template


def _caller_of(key: StoredKey) -> Caller:
    if unknown := set(key.scopes) - set(SCOPES):
        raise ConfigError(
            f"key {key.name!r}: unknown scopes {sorted(unknown)}; there are: {SCOPES}"
        )
    if len(key.sha256) != hashlib.sha256().digest_size * 2:
        raise ConfigError(
            f"key {key.name!r}: sha256 has {len(key.sha256)} characters; accepted: 64"
        )
    return Caller(key.name, frozenset(key.scopes), key.browser)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _write_private(path: Path, content: bytes) -> None:
    # A hard link makes name and content appear together, and fails where another process was first.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(temporary, path)
    finally:
        temporary.unlink()
