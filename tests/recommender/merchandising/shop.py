"""Rules over the known-answer shop, and the list that they give."""

from __future__ import annotations

from collections.abc import Mapping

from recommender.bundle import ModelBundle
from recommender.merchandising.active import BoundRules, bind
from recommender.merchandising.rules_file import parse_rules
from recommender.merchandising.trace import Trace
from recommender.pipeline import recommend
from recommender.placements import Placement, read_placements
from recommender.policy import TopPolicy
from recommender.query import Query
from recommender.slate import Slate
from tests.bundles import AT, shop_bundle

BUNDLE = shop_bundle()
PLACEMENTS = read_placements()
PLACE = Placement("next", exclude=("dismissed",))


def bound(*rules: Mapping[str, object], bundle: ModelBundle = BUNDLE) -> BoundRules:
    """Rules given as the tables of a file, each with a name of its own."""
    named = [{"name": f"rule-{number}"} | dict(rule) for number, rule in enumerate(rules)]
    read = parse_rules({"version": "v-1", "rules": named}, PLACEMENTS)
    return bind(read, bundle.catalogue)


def asked(**parts: object) -> Query:
    return Query(**({"at": AT, "placement": "next"} | parts))  # type: ignore[arg-type]


def answer(
    query: Query,
    *rules: Mapping[str, object],
    bundle: ModelBundle = BUNDLE,
    trace: Trace | None = None,
) -> Slate:
    return recommend(query, bundle, PLACE, TopPolicy(), bound(*rules, bundle=bundle), trace)


def numbers(slate: Slate) -> list[int]:
    """Items of a slate by their number."""
    return [int(item.item_id[-2:]) for item in slate.items]


def shown(query: Query, *rules: Mapping[str, object], bundle: ModelBundle = BUNDLE) -> list[int]:
    return numbers(answer(query, *rules, bundle=bundle))
