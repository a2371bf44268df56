"""Where a Redis server is, and who asks: read from a URL, never shown with its password."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from recommender.errors import ConfigError

ACCEPTED = "redis://[user:password@]host[:port][/database], or rediss:// for TLS"
DEFAULT_PORT = 6379


@dataclass(frozen=True, slots=True)
class RedisTarget:
    """A server, a database on it, and the credentials."""

    host: str
    port: int = DEFAULT_PORT
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False

    def __str__(self) -> str:
        return f"{'rediss' if self.tls else 'redis'}://{self.host}:{self.port}/{self.database}"


def parse_target(url: str) -> RedisTarget:
    """The target that a URL names.

    Raises
    ------
    ConfigError
        It is no such URL; the message does not hold the URL, which may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # whose text may hold a part of the password
        raise ConfigError(f"redis_url has no usable host or port; accepted: {ACCEPTED}") from None
    if parts.scheme not in ("redis", "rediss"):
        raise ConfigError(f"redis_url begins with {parts.scheme!r}; accepted: {ACCEPTED}")
    database = parts.path.removeprefix("/") or "0"
    if not parts.hostname or parts.query or parts.fragment or not _is_number(database):
        raise ConfigError(
            "redis_url has no host, or more than host, port and database; "
            f"accepted: {ACCEPTED}; special characters of a password percent-encoded"
        )
    return RedisTarget(
        host=parts.hostname,
        port=DEFAULT_PORT if port is None else port,
        database=int(database),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=parts.scheme == "rediss",
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4
