"""What a placement is for a shopper at a stage: tables ``[placements.NAME.stage.STAGE]``."""

from __future__ import annotations

from recommender.behaviour import NO_BEHAVIOUR
from recommender.bundle import ModelBundle
from recommender.placements import Placement
from recommender.query import Query
from recommender.stage import stage_of
from recommender.terms import FULL, MICROS_PER_SECOND


def staged(placement: Placement, query: Query, bundle: ModelBundle) -> Placement:
    """The placement as it is at the shopper's stage, see `recommender.stage`.

    It is as it is for everybody where earlier visits may not take part, and where nothing is known
    of the shopper: a stranger is no prospect.

    Parameters
    ----------
    query
        Only with what may take part.
    """
    is_known = query.history or query.session or query.behaviour != NO_BEHAVIOUR
    if not placement.stage or query.personalize != FULL or not is_known:
        return placement
    at_micros = round(query.at.timestamp() * MICROS_PER_SECOND)
    stage = stage_of(query.behaviour, at_micros, bundle.usual_interval_seconds)
    return placement.stage.get(stage, placement)
