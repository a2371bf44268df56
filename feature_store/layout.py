"""Where a shop's data live on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StoreLayout:
    """Folders of one shop's data.

    Parameters
    ----------
    root
        The data folder, for example ``var``.
    """

    root: Path

    @property
    def log(self) -> Path:
        """Append-only segments written by the service."""
        return self.root / "log"

    @property
    def quarantine(self) -> Path:
        """Rejected records as JSON lines, with the reason."""
        return self.root / "quarantine"

    @property
    def dedup(self) -> Path:
        """Index of event ids seen lately (LMDB)."""
        return self.root / "dedup"

    @property
    def online(self) -> Path:
        """Online store (LMDB)."""
        return self.root / "online"

    @property
    def erasures(self) -> Path:
        """Who asked to be forgotten, as hashes."""
        return self.root / "erasures.json"

    @property
    def pseudonyms(self) -> Path:
        """The secret of the names under which decision records know people."""
        return self.root / "pseudonym.key"

    @property
    def tables(self) -> Path:
        """Parquet tables partitioned by day."""
        return self.root / "tables"

    @property
    def bundles(self) -> Path:
        """Delivered models and the pointer to the current one."""
        return self.root / "bundles"

    @property
    def experiments(self) -> Path:
        """Experiments, one file each with its history."""
        return self.root / "experiments"
