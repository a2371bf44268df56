"""Off-policy estimates on the Open Bandit logs, beside the truth.

Two policies served the same week of a fashion shop: one drew each of 46 items alike, one was
Thompson sampling (BTS). From the log of each, the click rate of the other is estimated; the truth
is the click rate in the other's own log. ``python -m benchmarks.open_bandit --folder DIR``, where
DIR has ``random_women`` and ``bts_women``.

The log of BTS says how likely each shown item was at its moment, not how likely those were that
were not shown. So what BTS would do in the random log is an average over the week: by position, the
share of the showings that each item had (``shares``), or the mean of its logged propensities,
scaled so that they sum to one (``mean propensity``). The second favours items whose propensity
varied: an item is shown more where it is likelier, so the mean over showings is E[p²] / E[p], not
E[p]. Both leave out what BTS learnt during the week. The reverse has no such gap: both policies'
probabilities of what BTS showed are known.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from recommender.errors import DataError, DesirepathError
from recommender.terms import Float64Array
from training.evaluation.off_policy import Estimate, LoggedChoices, Verdict, judge, mean_of

COLUMNS = ("item_id", "position", "click", "propensity_score")
PRIOR = 100.0
"""Showings' worth of the log's mean in the predicted click rate of an item."""


@dataclass(frozen=True, slots=True)
class Question:
    """One policy's value, asked of the other's log.

    Parameters
    ----------
    truth
        Click rate in the policy's own log.
    """

    name: str
    truth: Estimate
    verdict: Verdict


def questions(folder: Path) -> Iterator[Question]:
    """BTS from the random log, in two ways, and the reverse.

    Raises
    ------
    DataError
        The folder has no such logs.
    """
    logs = {name: _read(folder / f"{name}_women" / "women.csv") for name in ("random", "bts")}
    truth = {name: mean_of("truth", _column(log, "click"), None) for name, log in logs.items()}
    random, bts = logs["random"], logs["bts"]
    items = random["item_id"].n_unique()
    uniform = random.select("position", "item_id").unique().with_columns(target=pl.lit(1 / items))
    for name, policy in (("shares", shares(bts)), ("mean propensity", mean_propensities(bts))):
        log = choices(random, policy)
        yield Question(f"BTS ({name}) from the random log", truth["bts"], judge(log))
    yield Question("random from the BTS log", truth["random"], judge(choices(bts, uniform)))


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise DataError(f"{path} is not there; accepted: a folder with random_women and bts_women")
    return pl.read_csv(path, columns=list(COLUMNS))


def shares(log: pl.DataFrame) -> pl.DataFrame:
    """By position, the share of the showings that each item had, as `target`."""
    counts = log.group_by("position", "item_id").agg(pl.len().cast(pl.Float64).alias("target"))
    return _summing_to_one(counts)


def mean_propensities(log: pl.DataFrame) -> pl.DataFrame:
    """By position, the mean of each item's logged propensities, scaled to sum to one."""
    mean = pl.col("propensity_score").mean().alias("target")
    return _summing_to_one(log.group_by("position", "item_id").agg(mean))


def _summing_to_one(policy: pl.DataFrame) -> pl.DataFrame:
    return policy.with_columns(pl.col("target") / pl.col("target").sum().over("position"))


def choices(log: pl.DataFrame, policy: pl.DataFrame) -> LoggedChoices:
    """A log as choices, with what a policy without any context would have done.

    The model of the reward is the click rate of each item, drawn to the mean, learnt in one half of
    the log and asked in the other.
    """
    joined = log.join(policy, on=["position", "item_id"], how="left", maintain_order="left")
    joined = joined.with_columns(pl.col("target").fill_null(0.0)).with_row_index("row")
    predicted, expected = _predicted(joined, policy)
    return LoggedChoices(
        reward=_column(joined, "click"),
        propensity=_column(joined, "propensity_score"),
        target=_column(joined, "target"),
        predicted=predicted,
        expected=expected,
        # Both policies give every item a positive probability everywhere.
        outside=np.zeros(len(joined)),
    )


def _predicted(joined: pl.DataFrame, policy: pl.DataFrame) -> tuple[Float64Array, Float64Array]:
    predicted, expected = np.zeros(len(joined)), np.zeros(len(joined))
    is_odd = joined["row"].to_numpy() % 2 == 1
    for here in (is_odd, ~is_odd):
        rates = _rates(joined.filter(pl.Series(~here)))
        asked = joined.filter(pl.Series(here)).join(rates, on="item_id", how="left")
        mean = float(joined.filter(pl.Series(~here))["click"].cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]
        predicted[here] = asked.sort("row")["rate"].fill_null(mean).to_numpy()
        worth = policy.join(rates, on="item_id", how="left").with_columns(
            pl.col("rate").fill_null(mean) * pl.col("target")
        )
        worth = worth.group_by("position").agg(pl.col("rate").sum().alias("worth"))
        expected[here] = asked.join(worth, on="position").sort("row")["worth"].to_numpy()
    return predicted, expected


def _rates(log: pl.DataFrame) -> pl.DataFrame:
    mean = log["click"].mean()
    shrunk = (pl.col("click").sum() + PRIOR * mean) / (pl.len() + PRIOR)
    return log.group_by("item_id").agg(shrunk.alias("rate"))


def _column(log: pl.DataFrame, name: str) -> Float64Array:
    return log[name].cast(pl.Float64).to_numpy()


def lines(question: Question) -> Iterator[str]:
    """A question as text."""
    yield question.name
    yield f"  {_line(question.truth)}"
    found = question.verdict.diagnosis
    yield (
        f"  {found.choices:,} choices, effective sample size {found.ess:,.0f}, largest weight "
        f"{found.max_weight:,.1f}, mean weight {found.mean_weight:.3f} ± {found.weight_error:.3f}"
    )
    if found.warning:
        yield f"  warning: {found.warning}"
    if question.verdict.refusal:
        yield f"  refused: {question.verdict.refusal}"
    for estimate in question.verdict.estimates:
        yield f"  {_line(estimate)}"


def _line(estimate: Estimate) -> str:
    interval = f"[{estimate.low:.5f}, {estimate.high:.5f}]"
    return f"{estimate.name:24}{estimate.value:9.5f}  {interval}"


def main(argv: Sequence[str] | None = None) -> int:
    """Print truth beside estimate; 1 where the logs are not there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.open_bandit")
    shared = Path(os.environ.get("DESIREPATH_SHARED", "../shared"))
    parser.add_argument("--folder", type=Path, default=shared / "data" / "open_bandit")
    try:
        for question in questions(parser.parse_args(argv).folder):
            print("\n".join(lines(question)))
    except DesirepathError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
