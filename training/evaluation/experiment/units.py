"""The units of a test: one row per subject, with arm, first exposure, and what is summed of it.

Intention to treat: a subject belongs to the arm that it was assigned, whatever was served. Nobody
drops out for what came after the first exposure, but for what would make any arm a lie: a subject
seen in several arms, and bots, told apart by signs that do not depend on the arm. Both are
counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import polars as pl

from feature_store.experiment_answers import (
    ANSWERED_AT,
    PHASE,
    SUBJECT,
    VARIANT,
    ExperimentAnswers,
)
from feature_store.experiment_health import FITTING, arm_weights
from feature_store.layout import StoreLayout
from feature_store.pseudonyms import read_pseudonyms
from feature_store.tables import read_manifests
from recommender.errors import DataError
from recommender.journey import LOOKBACK_MICROS
from recommender.terms import AVAILABLE_AT, MICROS_PER_SECOND, TS
from training.evaluation.experiment.metrics import ANSWERS
from training.evaluation.experiment.outcomes import (
    FIRST_AT,
    UNIT,
    currencies_of,
    outcome_sums,
    rows_of_subjects,
)
from training.experiment_spec import ExperimentSpec
from training.sections import SECONDS_PER_DAY

DAY_MICROS: Final = SECONDS_PER_DAY * MICROS_PER_SECOND
MINUTE_MICROS: Final = 60 * MICROS_PER_SECOND
BOT_DEVICES: Final = ("bot", "crawler", "spider")
CLOSED_AT: Final = "closed_at"


@dataclass(frozen=True, slots=True)
class Units:
    """The subjects of one phase.

    Parameters
    ----------
    frame
        `SUBJECT`, `UNIT`, variant, `FIRST_AT`, `CLOSED_AT` (when its window ends), and the sums of
        `metrics.OUTCOMES`, their twins, and `metrics.ANSWERS`; by first exposure.
    answers
        The answers within the windows, with `UNIT`.
    weights
        Weight of each arm, as the answers say it; equal where they do not.
    until
        Moment up to which everything is known, microseconds.
    currencies
        That purchases were made in.
    """

    frame: pl.DataFrame
    answers: pl.DataFrame
    phase: int
    weights: Mapping[str, float]
    until: int
    currencies: tuple[str, ...]
    counts: Mapping[str, int]

    @property
    def closed(self) -> pl.DataFrame:
        """The subjects whose window has ended: all of their outcomes are known."""
        return self.frame.filter(pl.col(CLOSED_AT) <= self.until)


def units_of(
    layout: StoreLayout,
    found: ExperimentAnswers,
    spec: ExperimentSpec,
    gap: int,
    phase: int | None = None,
    until: int | None = None,
) -> Units:
    """Make the units of a phase, the last one unless it is named.

    Parameters
    ----------
    gap
        Silence that ends a visit, microseconds.
    until
        Nothing later counts, microseconds; None: all of the log.

    Raises
    ------
    DataError
        The phase has no answer, or the store lacks the secret of its pseudonyms.
    """
    counts = Counter(found.counts)
    answers, phase = _of_phase(found.frame, phase, counts)
    weights = _weights(answers)
    subjects = _subjects(answers, spec, counts)
    window, before = (round(days * DAY_MICROS) for days in (spec.window_days, spec.pre_days))
    end = _end(layout, answers, until)
    rows = _rows(layout, subjects, (first_of(subjects) - before - LOOKBACK_MICROS, end), window)
    counts.update(rows.counts)
    subjects = subjects.with_columns((pl.col(FIRST_AT) + window).alias(CLOSED_AT))
    inside = _within(answers, subjects)
    frame = (
        subjects.join(outcome_sums(rows.frame, window, before, gap), on=UNIT, how="left")
        .join(_answer_sums(inside), on=UNIT, how="left")
        .with_columns(pl.col(pl.Float64).fill_null(0.0))
        .sort(FIRST_AT, UNIT)
    )
    counts["subjects whose window is open"] = len(frame.filter(pl.col(CLOSED_AT) > end))
    return Units(frame, inside, phase, weights, end, tuple(currencies_of(rows.frame)), dict(counts))


class _Rows(NamedTuple):
    frame: pl.DataFrame
    counts: dict[str, int]


def _rows(layout: StoreLayout, subjects: pl.DataFrame, span: tuple[int, int], window: int) -> _Rows:
    """Rows of the subjects within a span, and how many came too late for an earlier reading."""
    asked = subjects.select(*SUBJECT, UNIT, FIRST_AT)
    rows = rows_of_subjects(layout, asked, read_pseudonyms(layout.pseudonyms), span)
    since = pl.col(TS, AVAILABLE_AT) - pl.col(FIRST_AT)
    lags = rows.select(since)
    late = lags.filter(
        pl.col(TS).is_between(0, window, closed="left"), pl.col(AVAILABLE_AT) >= window
    )
    counts = {
        "events of subjects": len(rows),
        "outcomes that arrived after their window": len(late),
    }
    return _Rows(rows, counts)


def _of_phase(
    answers: pl.DataFrame, phase: int | None, counts: Counter[str]
) -> tuple[pl.DataFrame, int]:
    known = answers[PHASE].unique().sort().to_list()
    if not known:
        raise DataError(f"no answer of the experiment is left to read: {dict(counts)}")
    chosen = known[-1] if phase is None else phase
    if chosen not in known:
        raise DataError(f"the log has no answer of phase {phase}; it has phases {known}")
    kept = answers.filter(pl.col(PHASE) == chosen)
    counts["left out: another phase"] = len(answers) - len(kept)
    return kept, int(chosen)


def _weights(answers: pl.DataFrame) -> dict[str, float]:
    found = answers.group_by(VARIANT).agg(pl.col("p_arm").median()).sort(VARIANT)
    return arm_weights(dict(found.iter_rows()))


def _subjects(answers: pl.DataFrame, spec: ExperimentSpec, counts: Counter[str]) -> pl.DataFrame:
    subjects = answers.group_by(SUBJECT).agg(
        pl.col(VARIANT).first(),
        pl.col(VARIANT).n_unique().alias("arms"),
        pl.col(ANSWERED_AT).min().alias(FIRST_AT),
    )
    bots = _bots(answers, spec)
    people = subjects.join(bots, on=SUBJECT, how="anti")
    kept = people.filter(pl.col("arms") == 1)
    counts["subjects"] = len(subjects)
    counts["left out: bots"] = len(subjects) - len(people)
    counts["left out: in several arms"] = len(people) - len(kept)
    counts["subjects kept"] = len(kept)
    if kept.is_empty():
        raise DataError(f"no subject is left to read: {dict(counts)}")
    return (
        kept.drop("arms")
        .sort(FIRST_AT, *SUBJECT)
        .with_row_index(UNIT)
        .with_columns(pl.col(UNIT).cast(pl.Int64))
    )


def _bots(answers: pl.DataFrame, spec: ExperimentSpec) -> pl.DataFrame:
    """Who calls itself one, or asks more often in a minute than a person can."""
    device = pl.col("device").str.to_lowercase().is_in(BOT_DEVICES).fill_null(value=False)
    declared = answers.filter(device).select(SUBJECT)
    minute = (pl.col(ANSWERED_AT) // MINUTE_MICROS).alias("minute")
    asked = answers.group_by(*SUBJECT, minute).agg(pl.col("request_id").n_unique().alias("asked"))
    hasty = asked.filter(pl.col("asked") > spec.bot_requests_per_minute).select(SUBJECT)
    return pl.concat([declared, hasty]).unique()


def _end(layout: StoreLayout, answers: pl.DataFrame, until: int | None) -> int:
    if until is not None:
        return until
    last = [day.last_ts for day in read_manifests(layout)]
    return max([*last, _last(answers)]) + 1


def first_of(subjects: pl.DataFrame) -> int:
    """Moment of the first exposure of all, microseconds."""
    return int(subjects[FIRST_AT].to_numpy().min())


def _last(answers: pl.DataFrame) -> int:
    return int(answers[ANSWERED_AT].to_numpy().max())


def _within(answers: pl.DataFrame, subjects: pl.DataFrame) -> pl.DataFrame:
    known = subjects.select(*SUBJECT, UNIT, CLOSED_AT)
    return answers.join(known, on=SUBJECT).filter(pl.col(ANSWERED_AT) < pl.col(CLOSED_AT))


def _answer_sums(answers: pl.DataFrame) -> pl.DataFrame:
    fits = pl.col("served_level").is_in(FITTING)
    sums = (
        pl.len().alias("answers"),
        pl.col("is_degraded").sum().alias("degraded"),
        (~fits).sum().alias("fallbacks"),
        pl.col("is_empty").sum().alias("empty"),
        pl.col("changed_share").sum().alias("changed"),
        pl.col("changed_share").is_not_null().sum().alias("measured_changes"),
    )
    return answers.group_by(UNIT).agg(*sums).with_columns(pl.col(ANSWERS).cast(pl.Float64))
