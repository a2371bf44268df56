"""Feature views of who a shopper is: stage, and affinity to brands.

The words are those of `recommender.stage` and `recommender.affinity`; what is computed here are the
numbers that their formulas take, point in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import polars as pl

from feature_store.views import (
    SHOPPER,
    Aggregate,
    Entity,
    Feature,
    FeatureView,
    How,
    count_of,
    seconds_since,
)
from recommender.affinity import DEFAULT_PARAMS, affinity
from recommender.behaviour import Behaviour
from recommender.stage import STAGE_CODES, UNKNOWN_INTERVAL_SECONDS, stage_of
from recommender.terms import (
    ADD_TO_WISHLIST,
    AVAILABLE_AT,
    BRAND,
    EVENT_ID,
    EVENT_TYPE,
    ITEM_ID,
    PURCHASE,
    REFUND,
    REVIEW,
    SHARE,
    SHOPPER_ID,
    TS,
)

_YEAR: Final = timedelta(days=365)
SHOPPER_BRAND: Final = Entity("shopper_brand", (SHOPPER_ID, BRAND))

_LINE: Final = (
    pl.when(pl.col(EVENT_TYPE) == PURCHASE)
    .then(1)
    .when(pl.col(ITEM_ID).is_not_null())
    .then(-1)
    .otherwise(0)
    .cast(pl.Int64)
)
_BEHAVIOUR: Final = (
    count_of("purchases", PURCHASE),
    Aggregate("kept_lines", How.SUM, (PURCHASE, REFUND), _LINE),
    Aggregate("first_bought", How.FIRST, (PURCHASE,)),
    Aggregate("last_bought", How.LAST, (PURCHASE,)),
    count_of("wishes", ADD_TO_WISHLIST),
    count_of("shares", SHARE),
    count_of("reviews", REVIEW),
)
_TIMES: Final = ("first_bought", "last_bought")


def stage_view(usual_seconds: float = UNKNOWN_INTERVAL_SECONDS) -> FeatureView:
    """View of shoppers' stages in a shop with this usual time between two purchases.

    Features: ``stage``, a code of `recommender.stage.STAGE_CODES`; ``kept_purchases``;
    ``seconds_since_purchase``.
    """

    def stage_code(row: Mapping[str, Any]) -> int:
        return STAGE_CODES[stage_of(_behaviour(row), row[TS], usual_seconds)]

    return FeatureView(
        name="visitor_stage",
        entity=SHOPPER,
        aggregates=_BEHAVIOUR,
        features=(
            Feature("stage", pl.Int64(), _of_row(stage_code)),
            Feature(
                "kept_purchases", pl.Int64(), _of_row(lambda row: _behaviour(row).kept_purchases)
            ),
            Feature("seconds_since_purchase", pl.Float64(), seconds_since("last_bought")),
        ),
        ttl=2 * _YEAR,
    )


def _of_row(function: Any) -> pl.Expr:
    """A function of the aggregates of a row and ``ts``, times in microseconds.

    Not in terms of polars: there is one definition of a stage, and it is no expression.
    """
    times = (pl.col(name).dt.epoch("us") for name in (*_TIMES, TS))
    counts = (one.name for one in _BEHAVIOUR if one.name not in _TIMES)
    return pl.struct(*counts, *times).map_elements(function, return_dtype=pl.Int64)


def _behaviour(row: Mapping[str, Any]) -> Behaviour:
    return Behaviour(**{one.name: row[one.name] or 0 for one in _BEHAVIOUR})


def with_brands(interactions: pl.LazyFrame) -> pl.LazyFrame:
    """Rows with the brand of their item where an earlier row said it and the row does not.

    Earlier is by arrival, so that nothing becomes known before it was.
    """
    known = interactions.sort(AVAILABLE_AT, TS, EVENT_ID, maintain_order=True)
    return known.with_columns(pl.col(BRAND).forward_fill().over(ITEM_ID))


def _decayed(name: str, weight: pl.Expr) -> Aggregate:
    half_life = timedelta(days=DEFAULT_PARAMS.half_life_days)
    kinds = tuple(DEFAULT_PARAMS.signs)
    return Aggregate(name, How.DECAYED_SUM, kinds, weight, half_life=half_life)


_SIGN: Final = pl.col(EVENT_TYPE).replace_strict(
    dict(DEFAULT_PARAMS.signs), default=0.0, return_dtype=pl.Float64
)
VISITOR_STAGE: Final = stage_view()
VISITOR_BRAND: Final = FeatureView(
    name="visitor_brand",
    entity=SHOPPER_BRAND,
    aggregates=(_decayed("signed", _SIGN), _decayed("strength", _SIGN.abs())),
    features=(
        Feature(
            "affinity",
            pl.Float64(),
            affinity(pl.col("signed").fill_null(0.0), pl.col("strength").fill_null(0.0)),
        ),
    ),
    ttl=_YEAR,
    prepared=with_brands,
)
