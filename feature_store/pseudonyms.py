"""The names under which the decision log knows people."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from recommender.errors import ConfigError

SECRET_FILE: Final = "pseudonym.key"  # noqa: S105 - a file name
SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Names under which the decision log knows people: always the same, readable by nobody."""

    secret: bytes = field(repr=False)

    def of(self, kind: str, outside_id: str) -> str:
        """Keyed BLAKE2b of an id, 32 hex digits. `kind` keeps visitors and users apart."""
        digest = hashlib.blake2b(key=self.secret, digest_size=16, person=kind.encode()[:16])
        digest.update(outside_id.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


def read_pseudonyms(root: Path) -> Pseudonyms:
    """The pseudonyms of a data folder that a service has served from.

    Raises
    ------
    ConfigError
        There is no secret, or it is not one.
    """
    path = root / SECRET_FILE
    try:
        secret = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error}; accepted: the data folder of a service") from error
    if len(secret) != SECRET_BYTES:
        raise ConfigError(f"{path} holds {len(secret)} bytes; accepted: {SECRET_BYTES}")
    return Pseudonyms(secret)
