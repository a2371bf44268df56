"""Learns to tell the pace of visits on simulated shops, whose shoppers have a true one.

Every seed is another shop: other items, tastes and people. The seeds to learn from, to calibrate
and to judge are different ones, and each shop is compared with its own quantiles, as a real shop
is. The truth is the label and nothing else; features see events only.

Notation: as in `recommender.pace`; n steps of visits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.optimize import minimize, minimize_scalar

from feature_store.moves import moves_of
from feature_store.sessions import DEFAULT_GAP_SECONDS
from recommender.errors import InvalidInputError
from recommender.pace import FEATURES, PaceNetwork
from recommender.terms import (
    EVENT_CODES,
    EVENT_TYPE,
    INTERACTION_TYPES,
    ITEM_ID,
    MICROS_PER_SECOND,
    MODES,
    SESSION_ID,
    TS,
    VISITOR_ID,
    Float32Array,
    Float64Array,
    Int32Array,
)
from training.models.pace_visits import PastVisits, VisitRows, past_visits
from training.pace_file import PaceFile
from training.simulation.emit import sessions_frame
from training.simulation.flat import Flattener
from training.simulation.shop import Shop, ShopSpec
from training.simulation.shoppers import ShopperSpec

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
_EPSILON = 1e-12


@dataclass(frozen=True, slots=True)
class PaceSpec:
    """What to simulate and how to learn.

    Parameters
    ----------
    fit, calibration, test
        Seeds of the shops; none in two of them.
    shoppers, days
        Size of each shop.
    units
        Hidden units.
    regularization
        Half of it times the squared weights is added to the loss.
    """

    fit: tuple[int, ...] = (11, 12, 13)
    calibration: tuple[int, ...] = (21,)
    test: tuple[int, ...] = (31, 32)
    shoppers: int = 2_000
    days: int = 25
    units: int = 16
    regularization: float = 1e-4
    iterations: int = 300


def judging_spec(seeds: tuple[int, ...], shoppers: int, days: int) -> PaceSpec:
    """The specification with other shops to judge on; without seeds, its own.

    Raises
    ------
    InvalidInputError
        A seed is one of those that were learnt from.
    """
    spec = PaceSpec()
    if used := sorted({*seeds} & {*spec.fit, *spec.calibration}):
        raise InvalidInputError(
            f"seeds {used} were learnt from; accepted: any but {(*spec.fit, *spec.calibration)}"
        )
    return replace(spec, test=seeds or spec.test, shoppers=shoppers, days=days)


@dataclass(frozen=True, slots=True)
class Steps:
    """Labelled steps of the visits of one or more shops.

    Parameters
    ----------
    features
        float32 (n, f).
    label
        True pace, int32 (n,).
    visit
        Number of the visit, int32 (n,), not falling.
    step
        Number of the step in its visit, from 3 on, int32 (n,).
    """

    features: Float32Array
    label: Int32Array
    visit: Int32Array
    step: Int32Array

    @classmethod
    def of_visits(cls, visits: PastVisits) -> Steps:
        """Steps of one shop, compared with its own quantiles; bots have no pace and are left out.

        They are in the quantiles: no shop can take its bots out.
        """
        features, visit, step = visits.features(visits.quantiles())
        label = visits.labels[visit]
        known = label >= 0
        return cls(features[known], label[known], visit[known], step[known])

    @classmethod
    def joined(cls, parts: Sequence[Steps]) -> Steps:
        """Steps of several shops."""
        firsts = np.cumsum([0, *(part.visit[-1] + 1 for part in parts[:-1])])
        visits = [part.visit + first for part, first in zip(parts, firsts, strict=True)]
        return cls(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.label for part in parts]),
            np.concatenate(visits).astype(np.int32),
            np.concatenate([part.step for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.label)


def simulated(seed: int, spec: PaceSpec) -> PastVisits:
    """All visits of one simulated shop, labelled with their true pace."""
    start = datetime(2026, 9, 1, tzinfo=UTC)
    size = ShopSpec(start=start, days=spec.days, shoppers=ShopperSpec(shoppers=spec.shoppers))
    shop = Shop(size, np.random.default_rng(seed))
    flattener = Flattener(shop.catalogue, shop.identity)
    frames, truths = [], []
    for log in shop.days():
        frames.append(flattener.frame(log.chunks))
        truths.append(log.truth)
    rows = VisitRows.of_frame(_labelled(pl.concat(frames), sessions_frame(truths, shop), shop))
    gap = DEFAULT_GAP_SECONDS * MICROS_PER_SECOND
    category = np.asarray(shop.catalogue.leaf, np.int32)
    return past_visits(rows, category, gap, len(rows), np.random.default_rng(seed))


def _labelled(events: pl.DataFrame, truth: pl.DataFrame, shop: Shop) -> pl.DataFrame:
    rows = events.lazy().with_columns(pl.col(TS).dt.epoch("us"))
    touched = rows.filter(
        pl.col(EVENT_TYPE).is_in(list(INTERACTION_TYPES)), pl.col(ITEM_ID).is_not_null()
    )
    both = pl.concat([touched, moves_of(rows, VISITOR_ID)]).collect()
    modes = truth.select(SESSION_ID, label=_number(pl.col("pace"), MODES))
    shoppers = sorted(both[VISITOR_ID].unique().to_list())
    return both.join(modes, on=SESSION_ID, how="left").select(
        _number(pl.col(VISITOR_ID), shoppers).alias("shopper_idx"),
        _number(pl.col(ITEM_ID), shop.catalogue.item_ids).alias("item_idx"),
        _number(pl.col(EVENT_TYPE), list(EVENT_CODES)).alias("event_code"),
        pl.col(TS).alias("ts"),
        pl.col("label").fill_null(-1),
    )


def _number(column: pl.Expr, names: Sequence[str]) -> pl.Expr:
    """Place of each word among the names, -1 where it is none of them."""
    return column.replace_strict(
        list(names), list(range(len(names))), default=-1, return_dtype=pl.Int32
    )


def steps_of(
    seeds: Sequence[int], spec: PaceSpec, on_shop: Callable[[int], object] = lambda _: None
) -> Steps:
    """Steps of the shops of these seeds."""
    parts = []
    for seed in seeds:
        parts.append(Steps.of_visits(simulated(seed, spec)))
        on_shop(seed)
    return Steps.joined(parts)


def learn(fit: Steps, calibration: Steps, spec: PaceSpec) -> PaceFile:
    """The network that ships: fitted on one part, its temperature set on another.

    Softmax regression with one hidden layer, cross-entropy by L-BFGS from a seeded start. The
    temperature T divides the logits so that the likelihood of the calibration part is highest
    (Guo et al. 2017, *On Calibration of Modern Neural Networks*).
    """
    network = _fitted(fit, spec)
    temperature = _temperature(logits(network, calibration.features), calibration.label)
    learnt: dict[str, float | int | list[int]] = {
        "fit_seeds": list(spec.fit),
        "calibration_seeds": list(spec.calibration),
        "shoppers": spec.shoppers,
        "days": spec.days,
        "fit_steps": len(fit),
        "calibration_steps": len(calibration),
        "regularization": spec.regularization,
        "iterations": spec.iterations,
        "temperature": round(temperature, 4),
    }
    parts = (
        network.hidden,
        network.hidden_bias,
        network.output / np.float32(temperature),
        network.output_bias / np.float32(temperature),
    )
    return PaceFile(learnt, FEATURES, MODES, *(_rounded(part) for part in parts))  # type: ignore[arg-type]


def logits(network: PaceNetwork, features: Float32Array) -> Float32Array:
    """float32 (n, c)."""
    units = np.tanh(features @ network.hidden + network.hidden_bias)
    found: Float32Array = units @ network.output + network.output_bias
    return found


def probabilities(network: PaceNetwork, features: Float32Array) -> Float64Array:
    """Probability of each mode, float64 (n, c)."""
    return _softmax(logits(network, features).astype(np.float64)).astype(np.float64)


def _softmax(values: Floats) -> Floats:
    odds = np.exp(values - values.max(axis=1, keepdims=True))
    shares: Floats = odds / odds.sum(axis=1, keepdims=True)
    return shares


def _fitted(steps: Steps, spec: PaceSpec) -> PaceNetwork:
    shapes = [(len(FEATURES), spec.units), (spec.units,), (spec.units, len(MODES)), (len(MODES),)]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    target = np.eye(len(MODES), dtype=np.float32)[steps.label]
    n, penalty = np.float32(len(steps)), np.float32(spec.regularization)

    def parts(flat: Float64Array) -> list[Float32Array]:
        pieces = np.split(flat.astype(np.float32), ends[:-1])
        return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]

    def loss(flat: Float64Array) -> tuple[float, Float64Array]:
        hidden, hidden_bias, output, output_bias = parts(flat)
        units = np.tanh(steps.features @ hidden + hidden_bias)
        shares = _softmax(units @ output + output_bias)
        wrong = (shares - target) / n
        back = (wrong @ output.T) * (1 - units * units)
        slopes = (
            steps.features.T @ back + penalty * hidden,
            back.sum(axis=0),
            units.T @ wrong + penalty * output,
            wrong.sum(axis=0),
        )
        own = shares[np.arange(len(steps)), steps.label]
        cost = -np.log(own + _EPSILON).mean() + penalty / 2 * (
            (hidden**2).sum() + (output**2).sum()
        )
        return float(cost), np.concatenate([each.ravel() for each in slopes]).astype(np.float64)

    rng = np.random.default_rng(0)
    start: Float64Array = np.concatenate(
        [rng.normal(0, shape[0] ** -0.5, shape).ravel() * (len(shape) > 1) for shape in shapes]
    )
    found = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": spec.iterations, "maxfun": 2 * spec.iterations},
    )
    return PaceNetwork(*parts(found.x))


def _temperature(values: Float32Array, label: Int32Array) -> float:
    rows = np.arange(len(label))

    def cost(temperature: float) -> float:
        shares = _softmax((values / temperature).astype(np.float64))
        return float(-np.log(shares[rows, label] + _EPSILON).mean())

    return float(minimize_scalar(cost, bounds=(0.2, 5), method="bounded").x)


def _rounded(part: Float32Array) -> object:
    return (
        [round(each, 5) for each in part.tolist()]
        if part.ndim == 1
        else [[round(each, 5) for each in row] for row in part.tolist()]
    )
