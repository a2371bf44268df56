"""Which of what a shopper bought before comes again: the interval model beside frequency.

At each cut of a rolling split everybody who buys within the horizon is asked for their next basket,
and only the items of it that they had bought before count. All rankings know the same: every
purchase before the cut. The half-life of the decayed frequency is chosen before the first cut.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.retail import protocol
from benchmarks.retail.baselines import Known, Scorer, choices, personal_frequency, rank
from benchmarks.retail.baskets import Purchases, described, named, rolling_periods
from benchmarks.retail.figures import Figures, K, Questions, Ranking, Scored, relative_gain
from benchmarks.retail.measure import HORIZON_DAYS, RECENT_DAYS, Shop, questions_of
from feature_store.console import Console
from recommender.candidates.buy_again import BuyAgainSource
from recommender.seeds import Seeds
from recommender.terms import EVENT_CODES, MICROS_PER_SECOND, PURCHASE, Int32Array
from training.engine import Period
from training.known_events import KnownEvents
from training.models.buy_again import demand, repeat_intervals
from training.sections import BuyAgainSpec

add_arguments = protocol.add_arguments  # the same log, the same cuts
BUY_AGAIN, PERSONAL, DECAYED = "buy_again", "personal_frequency", "decayed_frequency"
FIGURE = f"repeat_recall@{K}"


@dataclass(frozen=True, slots=True)
class Round:
    """One cut: who was asked, and what each way to rank answered."""

    period: Period
    asked: Questions
    rankings: Mapping[str, tuple[Ranking, ...]]


def run(arguments: argparse.Namespace, console: Console) -> dict[str, object]:
    """Measure a log.

    Raises
    ------
    DataError
        The log is too short for so many cuts.
    RefusedError
        The log is refused.
    """
    with tempfile.TemporaryDirectory(prefix="repeats-") as scratch:
        shop = Shop.of(arguments.log, arguments.format, Path(scratch))
        periods = rolling_periods(shop.window.period, arguments.folds, HORIZON_DAYS)
        before = Period(periods[0].start - periods[0].length, periods[0].start)
        half_life, decayed = _chosen(shop, before)
        scorers = {PERSONAL: personal_frequency, DECAYED: decayed}
        rounds = [ask_at(shop, n, period, scorers) for n, period in enumerate(periods)]
    found = summarise(rounds) | {DECAYED: half_life}
    for line in table(found):
        console.say(line)
    return found


def ask_at(shop: Shop, number: int, period: Period, scorers: Mapping[str, Scorer]) -> Round:
    """Ask everybody who buys in a period what they buy again."""
    hold_out = shop.ask(period)
    asked = questions_of(shop, number, hold_out)
    known = Known.at(shop.purchases, period.start, RECENT_DAYS)
    rows = asked.shopper
    rankings = {
        name: named(rank(known, scorer(known, rows), K), shop.window)
        for name, scorer in scorers.items()
    }
    due = due_items(known.purchases, period.start, rows, BuyAgainSpec())
    return Round(period, asked, rankings | {BUY_AGAIN: named(due, shop.window)})


def due_items(
    purchases: Purchases, cut: int, shoppers: Int32Array, spec: BuyAgainSpec
) -> list[Int32Array]:
    """The items that each shopper is likeliest to buy again, best first.

    Parameters
    ----------
    purchases
        All of them before the cut (microseconds).
    """
    codes = np.full(len(purchases.item), EVENT_CODES[PURCHASE], np.int32)
    events = KnownEvents(
        purchases.shopper,
        purchases.item,
        codes,
        purchases.basket.astype(np.int64),
        purchases.ts,
        purchases.items,
        int(purchases.ts.min(initial=cut)),
        cut,
    )
    found = repeat_intervals(events, np.full(purchases.items, -1, np.int32), spec.prior)
    model = (found.probability, found.log_mean, found.log_sd)
    wanted = demand(events, spec.demand_half_life_days)
    source = BuyAgainSource(*model, spec.horizon_days, spec.own_prior, spec.least, wanted)
    everything = np.ones(purchases.items, np.bool_)
    ages = ((cut - purchases.ts) / MICROS_PER_SECOND).astype(np.float32)
    bounds = np.searchsorted(purchases.shopper, np.stack([shoppers, shoppers + 1]))
    answers = []
    for first, stop in bounds.T.tolist():
        own = slice(first, stop)
        size = stop - first
        seeds = Seeds(
            purchases.item[own],
            codes[own],
            np.ones(size, np.float32),
            ages[own],
            np.zeros(size, np.int32),
        )
        answers.append(source.candidates(seeds, everything, K).item_idx)
    return answers


def _chosen(shop: Shop, before: Period) -> tuple[str, Scorer]:
    """The half-life that finds most of what is bought again before the first cut."""
    options = dict(choices()[DECAYED])
    tried = ask_at(shop, 0, before, options)
    means = {
        name: Scored.of(tried.rankings[name], tried.asked).means[FIGURE] or 0.0 for name in options
    }
    best = max(means, key=means.__getitem__)
    return best, options[best]


def summarise(rounds: Sequence[Round]) -> dict[str, object]:
    """Everything that was measured, as plain JSON types."""
    asked = Questions.joined([each.asked for each in rounds])
    scored = {
        name: Scored.of([row for each in rounds for row in each.rankings[name]], asked)
        for name in (BUY_AGAIN, PERSONAL, DECAYED)
    }
    values = {name: each.values[FIGURE] for name, each in scored.items()}
    return {
        "protocol": "repeats",
        "k": K,
        "questions": int(sum(map(bool, asked.repeat))),
        "repeat_targets": sum(map(len, asked.repeat)),
        "folds": [described(each.period) for each in rounds],
        FIGURE: {name: each.means[FIGURE] for name, each in scored.items()},
        "by_fold": {
            name: [float(np.nanmean(each[asked.fold == fold])) for fold in np.unique(asked.fold)]
            for name, each in values.items()
        },
        "gain_of_buy_again_over": {
            name: relative_gain(values[BUY_AGAIN], values[name], asked.shopper)
            for name in (PERSONAL, DECAYED)
        },
    }


def table(found: Mapping[str, object]) -> list[str]:
    """One line per way to rank."""
    means: Mapping[str, float] = found[FIGURE]  # type: ignore[assignment]
    gains: Mapping[str, Figures] = found["gain_of_buy_again_over"]  # type: ignore[assignment]
    lines = [f"{found['questions']} questions, {found['repeat_targets']} items bought again"]
    for name, mean in means.items():
        gain = gains.get(name)
        text = f"{name:20} {mean:.4f}"
        if gain is not None and gain["gain_percent"] is not None:
            interval = f"[{gain['low']:+.1f}, {gain['high']:+.1f}]"
            text += f"   buy_again {gain['gain_percent']:+.1f} % {interval}"
        lines.append(text)
    return lines
