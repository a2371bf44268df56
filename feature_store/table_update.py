"""Staged rows into the table: merge, sessions, rewrite, only for the days that change.

Days are taken in chunks of consecutive days, ascending, so that a chunk starts with the sessions
that the days before left open. When the sessions left open by a chunk changed, the day after it
is taken too, and so on.

A list of the days still to do is kept on disk while days are being rewritten: an ingest that was
killed is completed by the next one, so that no day keeps sessions computed from a version of the
day before that is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl

from feature_store.atomic_file import write_atomic
from feature_store.contested_ids import find_contested
from feature_store.day_table import read_day, write_days
from feature_store.erased_rows import without_erased
from feature_store.layout import StoreLayout
from feature_store.merge import IS_NEW, Merged, merge
from feature_store.sessions import assign_sessions, find_carry
from feature_store.staging import Staging
from feature_store.tables import (
    DAY,
    LINK_SCHEMA,
    SESSION_GIVEN,
    interactions_folder,
    list_days,
    next_day,
    read_links,
    read_manifest,
    scan_stored,
)
from recommender import terms


@dataclass(slots=True)
class Chunk:
    """What became of some days' rows.

    Parameters
    ----------
    days
        The days.
    kept
        New rows that entered, per day.
    events
        Distinct events among them.
    merged
        Duplicates, conflicts and displaced rows.
    rewritten
        Days whose files changed.
    erased
        New rows of shoppers who have been erased since: left out, and kept nowhere.
    """

    days: list[date]
    kept: dict[date, int]
    events: int
    merged: Merged
    rewritten: list[date]
    erased: int


@dataclass(slots=True)
class TableUpdate:
    """One update of the table by staged rows.

    Parameters
    ----------
    gap_seconds
        Silence that ends a session.
    chunk_rows
        Rows to hold in memory at a time; a single larger day is taken whole.
    erased
        Erasures by subject; their rows leave the days that are rewritten.
    """

    layout: StoreLayout
    staging: Staging
    gap_seconds: int
    chunk_rows: int
    erased: Mapping[str, int] = field(default_factory=dict)
    _todo: set[date] = field(default_factory=set)

    def run(self, rewritten: Iterable[date] = ()) -> Iterator[Chunk]:
        """Bring the table up to date, chunk by chunk, and write these days anew."""
        contested = find_contested(self.layout, self.staging)
        self._todo = {*self.staging.days(), *contested.stored_days, *self._read_pending()}
        self._todo |= set(rewritten)
        while self._todo:
            self._write_pending()
            days = self._next_chunk()
            chunk, carry_changed = self._update(days, contested.owners)
            self._todo -= set(days)
            after = next_day(days[-1])
            if carry_changed and read_manifest(self.layout, after) is not None:
                self._todo.add(after)
            yield chunk
        self._pending_path.unlink(missing_ok=True)

    def _update(self, days: list[date], owners: pl.DataFrame) -> tuple[Chunk, bool]:
        before = pl.concat([read_day(self.layout, day) for day in days])
        met = self._meet(before, days)
        allowed = self._without_erased(met)
        merged, new = merge(allowed, owners), int(allowed[IS_NEW].sum())
        carry = self._stored_carry(days[0])
        rows = assign_sessions(merged.rows, carry, self.gap_seconds)
        until = _midnight(next_day(days[-1]))
        old_carry = find_carry(before, until, self.gap_seconds)
        new_carry = find_carry(rows, until, self.gap_seconds)
        changed = write_days(self.layout, days, rows.drop(IS_NEW))
        erased = int(met[IS_NEW].sum()) - new
        chunk = Chunk(days, *_count_new(rows), merged, changed, erased)
        return chunk, not old_carry.equals(new_carry)

    def _meet(self, before: pl.DataFrame, days: list[date]) -> pl.DataFrame:
        """Stored rows, without the session ids that were computed, and staged rows."""
        given = pl.when(SESSION_GIVEN).then(terms.SESSION_ID).alias(terms.SESSION_ID)
        stored = before.with_columns(given, pl.lit(value=False).alias(IS_NEW))
        # Between the days of a chunk there is no staged day that is not part of it.
        staged = self.staging.read(days[0], days[-1])
        return pl.concat([stored, staged.with_columns(pl.lit(value=True).alias(IS_NEW))])

    def _without_erased(self, met: pl.DataFrame) -> pl.DataFrame:
        if not self.erased:
            return met
        logins = met.select(LINK_SCHEMA.names()).filter(pl.col(terms.USER_ID).is_not_null())
        links = pl.concat([read_links(self.layout), logins])
        return without_erased(met.lazy(), links, self.erased).collect()

    def _stored_carry(self, day: date) -> pl.DataFrame:
        eve = day - timedelta(days=1)
        return find_carry(scan_stored(self.layout, eve, eve), _midnight(day), self.gap_seconds)

    def _next_chunk(self) -> list[date]:
        """The first days to do, without a stored day between them that stays as it is."""
        stored = list_days(self.layout)
        staged = self.staging.days()
        days: list[date] = []
        rows = 0
        for day in sorted({*stored, *self._todo}):
            if day not in self._todo:
                if days:
                    break
                continue
            manifest = read_manifest(self.layout, day)
            rows += staged.get(day, 0) + (manifest.rows if manifest else 0)
            if days and rows > self.chunk_rows:
                break
            days.append(day)
        return days

    @property
    def _pending_path(self) -> Path:
        return interactions_folder(self.layout) / "pending.json"

    def _read_pending(self) -> list[date]:
        if not self._pending_path.exists():
            return []
        return msgspec.json.decode(self._pending_path.read_bytes(), type=list[date])

    def _write_pending(self) -> None:
        """Days to do and the day after each, whose sessions may hang on them."""
        days = sorted({*self._todo, *map(next_day, self._todo)})
        write_atomic(self._pending_path, msgspec.json.encode(days))


def _count_new(rows: pl.DataFrame) -> tuple[dict[date, int], int]:
    new = rows.filter(IS_NEW)
    kept = new.group_by(DAY.alias("day"), maintain_order=True).agg(pl.len())
    return dict(kept.iter_rows()), new[terms.EVENT_ID].n_unique()


def _midnight(day: date) -> int:
    """Microseconds since the epoch at the start of a day, UTC."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return int(start.timestamp()) * terms.MICROS_PER_SECOND
