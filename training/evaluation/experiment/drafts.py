"""Interleaved lists of the log, and which of their two rankings the outcomes prefer.

Stage of the flow: log → places of interleaved lists → credits → preference. An outcome is credited
where it names the list and the item, at most once for each place; one vote per subject, see
`recommender.preference`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from feature_store.experiment_answers import kept_answers
from feature_store.layout import StoreLayout
from feature_store.records import DecisionRecord
from feature_store.tables import read_interactions
from recommender.errors import DataError, InvalidInputError
from recommender.preference import Preference, preference
from recommender.terms import EVENT_TYPE, ITEM_ID, RECOMMENDATION_ID, SELECT_ITEM, TS
from training.dataset import moment
from training.evaluation.bootstrap import Interval
from training.evaluation.experiment.report import verdict_of
from training.evaluation.experiment.sequential import at_every_look
from training.experiment_spec import ExperimentSpec
from training.reports.report import Report

CONTROL: Final = "control"
_SCHEMA: Final = pl.Schema(
    {
        RECOMMENDATION_ID: pl.String(),
        ITEM_ID: pl.String(),
        "subject": pl.String(),
        "team": pl.String(),
        "competitive": pl.Boolean(),
    }
)


class InterleavingReading(Report, frozen=True):
    """What interleaved lists say.

    Parameters
    ----------
    outcome
        Event type that is credited.
    lists, places, competitive_places
        Interleaved lists, their items, and those of competitive rounds: only these are credited.
    credits
        Credited places by team.
    wins, losses, ties
        Subjects that credited the treatment more, the control more, and both alike.
    preference
        (wins - losses) / subjects with a credit, with the interval of one look.
    always
        With the interval that holds at every look; None of too few subjects.
    verdict
        Of the treatment: better, worse or undecided, by `always`.
    counts
        Answers in the log, kept, and left out by reason; outcomes that name no list of it.
    models
        Pairs of bundles that drafted, that of the experiment's first arm before that of its second.
    """

    experiment: str
    control: str
    treatment: str
    outcome: str
    lists: int
    places: int
    competitive_places: int
    credits: Mapping[str, int]
    wins: int
    losses: int
    ties: int
    preference: Interval
    always: Interval | None
    verdict: str
    counts: Mapping[str, int]
    models: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DraftRequest:
    """Which interleaved lists to read.

    Parameters
    ----------
    control
        The team to compare with; None: the one named ``control``, else the first by name.
    outcome
        Event type to credit.
    until
        Nothing later counts, microseconds; None: all of the log.
    """

    key: str
    control: str | None = None
    outcome: str = SELECT_ITEM
    until: int | None = None


def read_drafts(
    layout: StoreLayout, request: DraftRequest, spec: ExperimentSpec
) -> InterleavingReading:
    """Read the preference between the two rankings of an experiment.

    Raises
    ------
    DataError
        The log has no interleaved list of it, or not of exactly two teams.
    InvalidInputError
        The control is not one of the teams.
    """
    places, models, counts = _places(layout, request)
    control, treatment = _teams(places, request.control)
    outcomes = _outcomes(layout, request)
    matched = places.join(
        outcomes, on=[RECOMMENDATION_ID, ITEM_ID], how="inner", maintain_order="left"
    )
    counts["outcomes that name an answer"] = len(outcomes)
    counts["outcomes that name no place of these lists"] = len(outcomes) - len(matched)
    found, credited = _preference(matched.filter("competitive"), control, spec)
    always = _always(found, spec)
    return InterleavingReading(
        request.key,
        control,
        treatment,
        request.outcome,
        places[RECOMMENDATION_ID].n_unique(),
        len(places),
        int(places["competitive"].sum()),
        {team: credited.get(team, 0) for team in (control, treatment)},
        found.wins,
        found.losses,
        found.ties,
        Interval(found.value, found.low, found.high),
        always,
        verdict_of(always),
        dict(counts),
        models,
    )


def _places(
    layout: StoreLayout, request: DraftRequest
) -> tuple[pl.DataFrame, tuple[tuple[str, str], ...], Counter[str]]:
    counts: Counter[str] = Counter()
    rows, models = list[tuple[object, ...]](), set[tuple[str, str]]()
    for record, _ in kept_answers(layout, request.key, request.until, counts):
        found = _rows(record)
        rows += found
        if found:
            models.add((record.model_version, record.drafted_with or record.model_version))
    return pl.DataFrame(rows, _SCHEMA, orient="row"), tuple(sorted(models)), counts


def _rows(record: DecisionRecord) -> list[tuple[object, ...]]:
    return [
        (record.decision_id, item.item_id, record.subject_key, item.team, bool(item.competitive))
        for item in record.items
        if item.team is not None
    ]


def _teams(places: pl.DataFrame, control: str | None) -> tuple[str, str]:
    teams = places["team"].unique().sort().to_list()
    if len(teams) != 2:
        raise DataError(f"interleaved lists of the experiment have teams {teams}; accepted: two")
    chosen = control or (CONTROL if CONTROL in teams else teams[0])
    if chosen not in teams:
        raise InvalidInputError(f"control {chosen!r} drafted nothing; the teams are: {teams}")
    return chosen, next(team for team in teams if team != chosen)


def _outcomes(layout: StoreLayout, request: DraftRequest) -> pl.DataFrame:
    """What names an answer and an item, each pair once."""
    rows = read_interactions(layout).filter(
        pl.col(EVENT_TYPE) == request.outcome,
        pl.col(RECOMMENDATION_ID).is_not_null(),
        pl.col(ITEM_ID).is_not_null(),
    )
    if request.until is not None:
        rows = rows.filter(pl.col(TS) < moment(request.until))
    return rows.select(RECOMMENDATION_ID, ITEM_ID).unique().collect()


def _preference(
    credited: pl.DataFrame, control: str, spec: ExperimentSpec
) -> tuple[Preference, dict[str, int]]:
    """Preference for the treatment, and credits by team."""
    is_control = pl.col("team") == control
    by_subject = credited.group_by("subject").agg(
        is_control.sum().alias("control"), (~is_control).sum().alias("treatment")
    )
    here, there = (
        by_subject[name].to_numpy().astype(np.float64) for name in ("control", "treatment")
    )
    by_team = dict(credited.group_by("team").len().iter_rows())
    return preference(there, here, spec.confidence), by_team


def _always(found: Preference, spec: ExperimentSpec) -> Interval | None:
    voters = found.wins + found.losses + found.ties
    if voters < spec.least_subjects:
        return None
    wide = at_every_look(found.value, found.standard_error, voters, spec)
    return Interval(wide.mean, max(wide.low, -1.0), min(wide.high, 1.0))
