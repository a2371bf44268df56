"""What an ingest did, in numbers that add up."""

from __future__ import annotations

import msgspec

from recommender.errors import DataError, RefusedError


class DayCounts(msgspec.Struct, frozen=True):
    """One day: rows that entered now, rows that the table holds."""

    kept: int
    total: int


class IngestReport(msgspec.Struct, frozen=True):
    """Outcome of one ingest; always ``rows_in = kept + duplicates + sum(rejected)``.

    Parameters
    ----------
    source, source_format, source_digest
        What was read; sha256 (hex) of its bytes, for a log of the positions read.
    rows_in
        Rows (event, item) that the source gave.
    kept
        Rows that entered the table.
    events_kept
        Events that these rows belong to.
    duplicates
        Rows that repeat a row of the source or of the table.
    rejected
        Rows refused, by reason; ``conflict`` is another payload under a known event id, ``erased``
        of a shopper who has been erased since.
    displaced
        Rows that the table held and that lost to an earlier payload of this source.
    skipped
        What the source passed over without making rows of it (damaged log records), by reason.
    days
        By ISO date: days that received rows or were computed again.
    days_rewritten
        Days whose files changed.
    quarantine
        File with the rejected rows; displaced ones have a file of their own.
    """

    source: str
    source_format: str
    source_digest: str
    rows_in: int
    kept: int
    events_kept: int
    duplicates: int
    rejected: dict[str, int]
    displaced: int
    skipped: dict[str, int]
    days: dict[str, DayCounts]
    days_rewritten: tuple[str, ...]
    quarantine: str | None

    @property
    def rejected_rows(self) -> int:
        """Rows refused, whatever the reason."""
        return sum(self.rejected.values())

    def check(self) -> IngestReport:
        """Raise `DataError` unless every row is accounted for; returns the report itself."""
        accounted = self.kept + self.duplicates + self.rejected_rows
        if accounted != self.rows_in:
            raise DataError(
                f"{self.source}: {self.rows_in} rows read, {accounted} accounted for "
                f"({self.kept} kept, {self.duplicates} duplicates, {self.rejected_rows} rejected)"
            )
        return self

    def refuse_nothing_kept(self) -> None:
        """Raise `RefusedError` when the source has rows and each of them was refused.

        That is no log with a few bad rows, but most likely one of another format.
        """
        if self.rows_in and self.rejected_rows == self.rows_in:
            reasons = ", ".join(f"{reason} {count}" for reason, count in self.rejected.items())
            raise RefusedError(
                f"{self.source}: none of its {self.rows_in} rows was kept ({reasons}). "
                f"Is its format {self.source_format}? The rows are in {self.quarantine}"
            )
