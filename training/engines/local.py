"""The engine for one machine: polars reads and sorts, scipy counts, `implicit` factorises."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from feature_store.layout import StoreLayout
from feature_store.moves import moves_of
from feature_store.runs import begins_run
from feature_store.tables import read_interactions, scan_stored
from recommender.errors import DataError
from recommender.terms import (
    AVAILABLE_AT,
    EVENT_CODES,
    EVENT_TYPE,
    INTERACTION_TYPES,
    ITEM_ID,
    PRICE,
    SHOPPER_ID,
    TS,
)
from training.dataset import known_before, moment
from training.engine import EventWindow, Key, Period
from training.engines.local_exposures import find_exposures
from training.engines.local_rows import days_of, rows_of
from training.engines.local_searches import find_searches
from training.engines.local_visits import find_visits
from training.models.als import Factors, factorise
from training.models.covisitation import PairRows, pair_weights, steps_of
from training.models.popularity import decay
from training.sections import PAIR_EVENTS, SECONDS_PER_DAY
from training.spec import TrainingSpec

_COLUMNS: Final = [
    EVENT_TYPE,
    TS,
    AVAILABLE_AT,
    SHOPPER_ID,
    ITEM_ID,
    PRICE,
]
# As `feature_store.online.state.interaction_order`, so that of one moment the last item is the same
# in training and serving; the order of the table, by event and position, makes it total.
_EVENT_ORDER: Final = ["shopper_idx", TS, "event_code", "item_idx"]


class LocalEngine:
    """Everything in this process; files larger than memory are streamed where polars can."""

    @property
    def libraries(self) -> Mapping[str, str]:
        """Version of each library that shapes the numbers."""
        return {name: version(name) for name in ("implicit", "numpy", "polars", "scipy")}

    def ingest_window(
        self, layout: StoreLayout, spec: TrainingSpec, as_of: int | None, workspace: Path
    ) -> EventWindow:
        """See `training.engine.Engine.ingest_window`."""
        window = find_window(layout, spec, as_of)
        rows, counts = _rows(layout, spec, window, known_before(as_of))
        item_ids, shopper_ids = (_ids(rows, name) for name in (ITEM_ID, SHOPPER_ID))
        if not item_ids:
            raise DataError(
                f"no interaction with an item from {_iso(window.start)} to {_iso(window.end)}: "
                f"{counts}; ingest a log first, or widen window.days"
            )
        # Named after the spec: windows of several specs live side by side in one workspace.
        path = workspace / f"events-{spec.digest[:16]}.parquet"
        _numbered(rows, item_ids, shopper_ids, spec).sink_parquet(path)
        shown = path.with_name(f"exposures-{spec.digest[:16]}.parquet")
        ids = (
            _index(ITEM_ID, item_ids, "item_idx"),
            _index(SHOPPER_ID, shopper_ids, "shopper_idx"),
        )
        find_exposures(layout, window, known_before(as_of), ids).sink_parquet(shown)
        asked = path.with_name(f"searches-{spec.digest[:16]}.parquet")
        _searches(layout, window, as_of, ids[1]).write_parquet(asked)
        moved = path.with_name(f"moves-{spec.digest[:16]}.parquet")
        _moves(layout, window, known_before(as_of), item_ids, shopper_ids).sink_parquet(moved)
        besides = [each if _has_rows(each) else None for each in (shown, asked, moved)]
        paths = [each for each in (path, *besides) if each is not None]
        return EventWindow(
            path,
            window,
            tuple(item_ids),
            tuple(shopper_ids),
            _digest(paths, item_ids, shopper_ids),
            counts,
            *besides,
        )

    def interactions(
        self, window: EventWindow, spec: TrainingSpec, until: int, workspace: Path
    ) -> Path:
        """See `training.engine.Engine.interactions`."""
        events = _known(window, until, "shopper_idx", "item_idx", "event_code", "ts")
        shape = (len(window.shopper_ids), len(window.item_ids))
        age_decay = decay(events["ts"], until, spec.seeds.half_life_days)
        weights = spec.weight_by_code[events["event_code"]] * age_decay
        place = (events["shopper_idx"], events["item_idx"])
        pairs = sparse.csr_array((weights, place), shape=shape)
        pairs.sum_duplicates()
        pairs.eliminate_zeros()
        return _write_pairs(pairs, "shopper_idx", "item_idx", workspace / "pairs.parquet")

    def neighbour_counts(
        self, window: EventWindow, spec: TrainingSpec, pair: str, until: int, workspace: Path
    ) -> Path:
        """See `training.engine.Engine.neighbour_counts`."""
        settings = spec.covisitation.pair(pair)
        group = "session" if settings.scope == "session" else "shopper_idx"
        events = _known(window, until, group, "step", "ts", "item_idx", "event_code")
        steps = steps_of(
            _pair_rows(events, group, *PAIR_EVENTS[pair]),
            len(window.item_ids),
            max_basket=spec.covisitation.max_basket,
            max_steps=spec.session.max_steps,
        )
        path = workspace / f"neighbours_{pair}.parquet"
        return _write_pairs(pair_weights(steps, settings), "item_idx", "other_idx", path)

    def join_as_of(
        self, window: EventWindow, questions: pl.DataFrame, by: Key, depth: int, workspace: Path
    ) -> Path:
        """See `training.engine.Engine.join_as_of`.

        Rows of the key are met by equality and then cut at the moment of the question, strictly
        and by both clocks. Each key is asked about once or a few times, so this reads the log once
        and has none of the traps of an ordered join.
        """
        path = workspace / f"as_of_{by}_{depth}.parquet"
        asked = questions.lazy().select("question", by, "at")
        rows = (
            window.scan()
            .with_row_index("row")
            .join(asked, on=by)
            .filter(pl.col("ts") < pl.col("at"), pl.col("available_at") < pl.col("at"))
            .sort("question", *(["ts", "row"] if by == "item_idx" else ["row"]))
            .filter(pl.int_range(pl.len()).reverse().over("question") < depth)
            .drop("row", "at")
        )
        rows.sink_parquet(path)
        return path

    def visits(
        self,
        layout: StoreLayout,
        window: EventWindow,
        spec: TrainingSpec,
        period: Period,
        workspace: Path,
    ) -> Path:
        """See `training.engine.Engine.visits`."""
        path = workspace / "visits.parquet"
        found = find_visits(layout, window.period, period, spec.session.gap_minutes)
        numbers = _index(SHOPPER_ID, list(window.shopper_ids), "shopper_idx")
        known = found.lazy().join(numbers, on=SHOPPER_ID, how="left").sort(SHOPPER_ID, "start")
        known.select("shopper_idx", *found.columns).sink_parquet(path)
        return path

    def factorise(self, user_items: sparse.csr_array, spec: TrainingSpec) -> Factors:
        """See `training.engine.Engine.factorise`."""
        return factorise(user_items, spec.als)


def find_window(layout: StoreLayout, spec: TrainingSpec, as_of: int | None) -> Period:
    """The stretch of the log to learn from, see `training.engine.Engine.ingest_window`."""
    log = scan_stored(layout)
    micros = [pl.col(name).dt.epoch("us") for name in (TS, AVAILABLE_AT)]
    first, last_ts, last_known = (
        log.select(micros[0].min(), micros[0].max().alias("last"), micros[1].max().alias("known"))
        .collect()
        .row(0)
    )
    if first is None:
        raise DataError(f"{layout.tables} holds no interactions; ingest a log first")
    end = as_of if as_of is not None else max(last_ts, last_known) + 1
    length = round(spec.window.days * SECONDS_PER_DAY * 1_000_000)
    start = max(first, end - length) if length else first
    if start >= end:
        raise DataError(f"as of {_iso(end)} the log is empty; it begins on {_iso(first)}")
    return Period(start, end)


def used_event_types(spec: TrainingSpec) -> list[str]:
    """Event types that training reads; all others are counted and left out."""
    pairs = {event_type for pair in PAIR_EVENTS.values() for event_type in pair}
    weighted = {event_type for event_type, _ in spec.event_weights}
    return sorted({*INTERACTION_TYPES, *pairs, *weighted, *spec.split.target_events})


def _rows(
    layout: StoreLayout, spec: TrainingSpec, window: Period, known: datetime | None
) -> tuple[pl.LazyFrame, dict[str, int]]:
    reasons = {
        "outside the window": ~pl.col(TS).dt.epoch("us").is_between(window.start, window.end - 1),
        "not yet arrived": pl.col(AVAILABLE_AT).dt.epoch("us") >= window.end,
        "without item": pl.col(ITEM_ID).is_null(),
        "event type not used": ~pl.col(EVENT_TYPE).is_in(used_event_types(spec)),
    }
    reason = pl.coalesce(*(pl.when(test).then(pl.lit(name)) for name, test in reasons.items()))
    log = read_interactions(layout, *days_of(window), known)
    log = log.select(_COLUMNS).with_columns(reason=reason)
    found = dict(log.group_by("reason").len().collect().iter_rows())
    counts = {"read": sum(found.values()), "kept": found.get(None, 0)}
    counts |= {name: found[name] for name in reasons if name in found}
    return log.filter(pl.col("reason").is_null()), counts


def _ids(rows: pl.LazyFrame, column: str) -> list[str]:
    found: list[str] = rows.select(pl.col(column).unique()).collect()[column].sort().to_list()
    return found


def _numbered(
    rows: pl.LazyFrame, item_ids: list[str], shopper_ids: list[str], spec: TrainingSpec
) -> pl.LazyFrame:
    """The events file: ids as indices, then sessions and steps numbered in order."""
    codes = pl.LazyFrame(
        {EVENT_TYPE: list(EVENT_CODES), "event_code": list(EVENT_CODES.values())},
        schema_overrides={"event_code": pl.Int32},
    )
    ordered = (
        rows.join(_index(ITEM_ID, item_ids, "item_idx"), on=ITEM_ID, maintain_order="left")
        .join(_index(SHOPPER_ID, shopper_ids, "shopper_idx"), on=SHOPPER_ID, maintain_order="left")
        .join(codes, on=EVENT_TYPE, maintain_order="left")
        .with_columns(pl.col(TS, AVAILABLE_AT).dt.epoch("us"))
        .sort(_EVENT_ORDER, maintain_order=True)
    )
    gap = round(spec.session.gap_minutes * 60_000_000)
    session = (begins_run("shopper_idx") | (pl.col(TS).diff().fill_null(0) > gap)).cum_sum()
    step = begins_run("shopper_idx", TS, "event_code").cum_sum()
    return ordered.select(
        "shopper_idx",
        "item_idx",
        "event_code",
        pl.col(TS).alias("ts"),
        pl.col(AVAILABLE_AT).alias("available_at"),
        session=session.cast(pl.Int64) - 1,
        step=step.cast(pl.Int64) - 1,
        price=pl.col(PRICE),
    )


def _moves(
    layout: StoreLayout,
    window: Period,
    known: datetime | None,
    item_ids: list[str],
    shopper_ids: list[str],
) -> pl.LazyFrame:
    """The moves file; shoppers who never met an item are left out."""
    codes = pl.col(EVENT_TYPE).replace_strict(EVENT_CODES, return_dtype=pl.Int32)
    shoppers = _index(SHOPPER_ID, shopper_ids, "shopper_idx")
    rows = rows_of(layout, window, known).join(shoppers, on=SHOPPER_ID, maintain_order="left")
    return (
        moves_of(rows, "shopper_idx")
        .join(_index(ITEM_ID, item_ids, "item_idx"), on=ITEM_ID, how="left")
        .select(
            "shopper_idx",
            pl.col("item_idx").fill_null(-1),
            codes.alias("event_code"),
            pl.col(TS).alias("ts"),
            pl.col(AVAILABLE_AT).alias("available_at"),
        )
        .sort("shopper_idx", "ts", "event_code", "item_idx", "available_at")
    )


def _index(column: str, ids: list[str], index: str) -> pl.LazyFrame:
    numbers = pl.Series(index, range(len(ids)), pl.Int32)
    return pl.LazyFrame([pl.Series(column, ids, pl.String), numbers])


def _searches(
    layout: StoreLayout, window: Period, as_of: int | None, shoppers: pl.LazyFrame
) -> pl.DataFrame:
    """Searches file, see `training.engine`."""
    asked = find_searches(layout, window, known_before(as_of))
    numbered = asked.join(shoppers.collect(), on=SHOPPER_ID).sort("shopper_idx", "ts", "term")
    return numbered.select("shopper_idx", "ts", "available_at", "term")


def _has_rows(path: Path) -> bool:
    return bool(pl.scan_parquet(path).select(pl.len()).collect().item())


def _digest(paths: Sequence[Path], item_ids: list[str], shopper_ids: list[str]) -> str:
    digest = hashlib.sha256("\n".join([*map(repr, item_ids), "", *map(repr, shopper_ids)]).encode())
    for path in paths:
        for name, dtype in pl.scan_parquet(path).collect_schema().items():
            values = pl.read_parquet(path, columns=[name])[name]
            if dtype == pl.String:
                digest.update(name.encode() + "\n".join(map(repr, values)).encode())
            else:
                digest.update(name.encode() + values.fill_null(-1).to_numpy().tobytes())
    return digest.hexdigest()


def _known(window: EventWindow, until: int, *columns: str) -> dict[str, npt.NDArray[Any]]:
    """Columns of the events known before `until`, in the order of the file."""
    known = window.scan().filter(pl.col("ts") < until, pl.col("available_at") < until)
    return {each.name: each.to_numpy() for each in known.select(columns).collect().get_columns()}


def _pair_rows(
    events: Mapping[str, npt.NDArray[Any]], group: str, earlier: str, later: str
) -> PairRows:
    codes = events["event_code"]
    is_earlier, is_later = (codes == EVENT_CODES[name] for name in (earlier, later))
    rows = PairRows(
        events[group].astype(np.int64),
        events["step"],
        events["ts"],
        events["item_idx"],
        is_earlier,
        is_later,
    )
    return rows[is_earlier | is_later]


def _write_pairs(matrix: sparse.csr_array, first: str, second: str, path: Path) -> Path:
    entries = matrix.tocoo()
    pl.DataFrame(
        {
            first: entries.row.astype(np.int32),
            second: entries.col.astype(np.int32),
            "weight": entries.data.astype(np.float64),
        }
    ).write_parquet(path)
    return path


def _iso(micros: int) -> str:
    return moment(micros).isoformat()
