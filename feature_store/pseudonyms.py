"""Names under which the decision log knows people.

The service makes the shop's secret at its first start and keeps it in the data folder. Who reads
the log needs it to tell which events belong to which decisions; without it nobody can.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from recommender.errors import ConfigError, DataError

VISITOR: Final = "visitor"
USER: Final = "user"
SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Names under which the decision log knows people: always the same, readable by nobody."""

    secret: bytes = field(repr=False)
    _begun: dict[str, hashlib.blake2b] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def of(self, kind: str, outside_id: str) -> str:
        """Keyed BLAKE2b of an id, 32 hex digits. `kind` keeps visitors and users apart."""
        begun = self._begun.get(kind)
        if begun is None:
            begun = hashlib.blake2b(key=self.secret, digest_size=16, person=kind.encode()[:16])
            self._begun[kind] = begun
        digest = begun.copy()
        digest.update(outside_id.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


def checked_secret(path: Path) -> bytes:
    """The secret in a file. Raises `ConfigError` for one of another length."""
    secret = path.read_bytes()
    if len(secret) != SECRET_BYTES:
        raise ConfigError(f"{path} holds {len(secret)} bytes; accepted: {SECRET_BYTES}")
    return secret


def read_pseudonyms(path: Path) -> Pseudonyms:
    """The pseudonyms of a store that a service has written to.

    Raises
    ------
    DataError
        There is no secret: the decisions of this store cannot be joined with its events.
    """
    try:
        return Pseudonyms(checked_secret(path))
    except FileNotFoundError as error:
        raise DataError(
            f"{path} does not exist; copy it from the data folder of the service that wrote the "
            "log, or its decisions cannot be joined with events"
        ) from error
