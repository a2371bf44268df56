"""What a caller may ask of a loader."""

from __future__ import annotations

from dataclasses import dataclass

from recommender.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Choices that hold for every format.

    Parameters
    ----------
    batch_rows
        Rows per frame at most; bounds the memory of a load.
    strict
        Refuse the file unless it is the published one; only for formats that have one.
    time_zone
        IANA zone of times that are written without one.
    """

    batch_rows: int = 200_000
    strict: bool = False
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        if self.batch_rows < 1:
            raise ConfigError(f"batch_rows={self.batch_rows}; accepted: 1 or more")
