"""Train | validation | test by time, and the hold-out shoppers whose next steps are to be found.

Each hold-out shopper is asked for once. ``asked = "at_cut"``: at the moment of the cut, with all
that was known then. ``"in_visit"``: just before one of the shopper's own target events of the
hold-out period, drawn at random, with all that was known then; the model still ends at the cut.
Targets are the distinct items of the shopper's target events from that moment to the end of the
period. Nothing at or after the moment of asking is in a query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from recommender.errors import DataError
from recommender.query import Interaction, Query
from recommender.stage import behaviour_of
from recommender.terms import EVENT_CODES, EVENT_TYPES
from training.dataset import moment
from training.engine import Engine, EventWindow, Period
from training.past import cart_of
from training.sections import SECONDS_PER_DAY
from training.spec import TrainingSpec

MICROS_PER_DAY = SECONDS_PER_DAY * 1_000_000


@dataclass(frozen=True, slots=True)
class Cuts:
    """The temporal split, all moments in microseconds since the epoch.

    Parameters
    ----------
    validation, test
        Where the hold-out periods begin; a model for one of them learns from what is before.
    end
        Where the test period ends, exclusive.
    """

    validation: int
    test: int
    end: int

    @property
    def validation_period(self) -> Period:
        """Where blend weights are learnt."""
        return Period(self.validation, self.test)

    @property
    def test_period(self) -> Period:
        """Where the report comes from; nothing is ever fitted on it."""
        return Period(self.test, self.end)


@dataclass(frozen=True, slots=True)
class HoldOut:
    """Hold-out shoppers of one period, as questions and right answers.

    Parameters
    ----------
    queries
        One per shopper, ordered by shopper id.
    targets
        Distinct item ids of each, at least one.
    shopper_ids
        Who is asked for.
    shoppers_in_period
        How many shoppers had a target in the period; the queries are a seeded sample of them.
    asked
        ``at_cut`` or ``in_visit``.
    """

    period: Period
    queries: tuple[Query, ...]
    targets: tuple[frozenset[str], ...]
    shopper_ids: tuple[str, ...]
    shoppers_in_period: int
    asked: str

    def __len__(self) -> int:
        return len(self.queries)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How many shoppers to ask for, the seed of the draw, and who is never asked (outside ids)."""

    max_users: int
    seed: int
    without: frozenset[str] = frozenset()


def find_cuts(window: Period, spec: TrainingSpec) -> Cuts:
    """Where validation and test begin: so many days from the end, in short logs a share of it.

    Raises
    ------
    DataError
        The log spans no time to speak of.
    """
    longest = window.length * spec.split.max_share
    days = (spec.split.validation_days, spec.split.test_days)
    validation, test = (round(min(each * MICROS_PER_DAY, longest)) for each in days)
    if not (validation and test):
        raise DataError(f"the log spans {window.length} microseconds: too short to be split")
    return Cuts(window.end - test - validation, window.end - test, window.end)


def hold_out(
    engine: Engine,
    window: EventWindow,
    spec: TrainingSpec,
    period: Period,
    sampling: Sampling,
    workspace: Path,
) -> HoldOut:
    """Draw hold-out shoppers of a period.

    Raises
    ------
    DataError
        No shopper has a target event in the period.
    """
    target_codes = [EVENT_CODES[name] for name in spec.split.target_events]
    later = (
        window.scan()
        .filter(pl.col("ts").is_between(period.start, period.end - 1))
        .filter(pl.col("event_code").is_in(target_codes))
        .filter(may_be_asked(window, sampling.without))
        .select("shopper_idx", "item_idx", "ts")
        .collect()
    )
    if later.is_empty():
        raise DataError(
            f"no event of {', '.join(spec.split.target_events)} from "
            f"{moment(period.start).isoformat()} to {moment(period.end).isoformat()}; "
            "widen split.max_share, or name event types that the log has in split.target_events"
        )
    questions = _questions(later, spec, period, sampling)
    path = engine.join_as_of(window, questions, "shopper_idx", spec.seeds.max_history, workspace)
    pasts = pasts_of(pl.read_parquet(path), window, len(questions))
    moments = questions["at"].to_list()
    return HoldOut(
        period,
        tuple(query_of(past, at, spec) for past, at in zip(pasts, moments, strict=True)),
        _targets(later, questions, window),
        tuple(window.shopper_ids[index] for index in questions["shopper_idx"]),
        later["shopper_idx"].n_unique(),
        spec.split.asked,
    )


def may_be_asked(window: EventWindow, without: frozenset[str]) -> pl.Expr:
    """Condition on rows of the window: not of these shoppers (outside ids)."""
    left_out = [index for index, name in enumerate(window.shopper_ids) if name in without]
    return ~pl.col("shopper_idx").is_in(left_out)


def _questions(
    later: pl.DataFrame, spec: TrainingSpec, period: Period, sampling: Sampling
) -> pl.DataFrame:
    rng = np.random.default_rng(sampling.seed)
    shoppers = later["shopper_idx"].unique().sort()
    if len(shoppers) > sampling.max_users:
        chosen = np.sort(rng.choice(len(shoppers), sampling.max_users, replace=False))
        shoppers = shoppers.gather(chosen)
    numbered = pl.DataFrame(
        {"question": pl.Series(range(len(shoppers)), dtype=pl.Int64), "shopper_idx": shoppers}
    )
    if spec.split.asked == "at_cut":
        return numbered.with_columns(at=pl.lit(period.start, pl.Int64))
    own = (
        later.join(numbered, on="shopper_idx")
        .select("question", "ts")
        .unique()
        .sort("question", "ts")
    )
    moments = own.group_by("question", maintain_order=True).agg("ts")["ts"].to_list()
    drawn = [int(each[int(rng.integers(len(each)))]) for each in moments]
    return numbered.with_columns(at=pl.Series(drawn, dtype=pl.Int64))


def _targets(
    later: pl.DataFrame, questions: pl.DataFrame, window: EventWindow
) -> tuple[frozenset[str], ...]:
    wanted = (
        later.join(questions, on="shopper_idx")
        .filter(pl.col("ts") >= pl.col("at"))
        .group_by("question")
        .agg(pl.col("item_idx").unique())
        .sort("question")
    )
    ids = window.item_ids
    return tuple(frozenset(ids[index] for index in each) for each in wanted["item_idx"].to_list())


def pasts_of(rows: pl.DataFrame, window: EventWindow, questions: int) -> list[list[Interaction]]:
    """What was known at each question, oldest first, of the rows of `Engine.join_as_of`."""
    pasts: list[list[Interaction]] = [[] for _ in range(questions)]
    ids = window.item_ids
    picked = rows.select("question", "item_idx", "event_code", "ts")
    for question, item_idx, code, ts in picked.iter_rows():
        pasts[question].append(Interaction(ids[item_idx], EVENT_TYPES[code], ts))
    return pasts


def query_of(past: Sequence[Interaction], at: int, spec: TrainingSpec) -> Query:
    """The question of a shopper with this past: earlier visits, the one that goes on at `at`, cart.

    It is what serving would ask, see `feature_store.online.known`.

    Parameters
    ----------
    past
        What was known strictly before `at`, oldest first.
    at
        Microseconds since the epoch.
    """
    gap = round(spec.session.gap_minutes * 60_000_000)
    begin = len(past)
    following = at
    while begin and following - past[begin - 1].ts <= gap:
        begin -= 1
        following = past[begin].ts
    return Query(
        at=moment(at),
        placement=spec.evaluation.placement,
        limit=max(spec.evaluation.k),
        history=tuple(past[:begin]),
        session=tuple(past[begin:]),
        cart_items=cart_of(past),
        behaviour=behaviour_of(past, at),
    )
