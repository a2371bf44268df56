"""What holds for any rules and any question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.merchandising.boosts import boosted
from recommender.pipeline import recommend
from recommender.policy import TopPolicy
from recommender.query import Query
from recommender.ranking import Origin, Ranking
from recommender.rules import eligible_items
from recommender.slate import Slate
from tests.bundles import AT, viewed
from tests.recommender.filters.expressions import expressions
from tests.recommender.filters.naive import truth
from tests.recommender.merchandising.shop import BUNDLE, PLACE, answer, asked, bound, shown

CATALOGUE = BUNDLE.catalogue
Rule = Mapping[str, object]
known_filters = st.sampled_from(
    [
        'brand = "acme"',
        'category = "garden"',
        'category = "kitchen" and price < 9',
        "price > context.price",
        "price is missing",
        'item_id in ("item-11", "item-19", "item-02")',
    ]
)
filters = known_filters | expressions.map(str)
shares = st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]) | st.floats(0, 1)


def rule(kind: str, **parts: st.SearchStrategy[object]) -> st.SearchStrategy[Rule]:
    return st.fixed_dictionaries({"kind": st.just(kind), **parts})


pins = rule(
    "pin",
    items=st.lists(st.integers(0, 22), min_size=1, max_size=4, unique=True).flatmap(
        lambda items: st.permutations(range(1, 9)).map(
            lambda places: {f"item-{n:02d}": p for n, p in zip(items, places, strict=False)}
        )
    ),
)
promotions = rule("promotion", where=filters, share=shares, from_position=st.integers(1, 12))
at_most = rule("constraint", where=filters, at_most=st.integers(0, 5))
at_most_each = rule(
    "constraint", per=st.sampled_from(["brand", "category"]), at_most=st.integers(0, 5)
)
at_least = rule("constraint", where=filters, at_least=st.integers(1, 9))
ordering = st.one_of(
    rule("boost", where=filters, factor=st.floats(1, 100)),
    rule("bury", where=filters, factor=st.floats(0.01, 1)),
    rule("diversity", level=st.floats(0, 1)),
    rule("calibration", strength=st.floats(0, 1), min_history=st.integers(1, 4)),
    pins,
    promotions,
    at_least,
)
excluding = st.one_of(
    rule("exclude", where=filters),
    rule("price_band", around=st.sampled_from(["page", "cart"]), low=st.floats(0, 1)),
)
limiting = st.one_of(excluding, at_most, at_most_each)
any_rules = st.lists(st.one_of(ordering, limiting), max_size=6)
items = st.integers(0, 21)
queries = st.builds(
    asked,
    limit=st.integers(1, 25),
    history=st.lists(items, max_size=6).map(lambda rows: viewed(*rows)),
    session=st.lists(items, max_size=4).map(lambda rows: viewed(*rows)),
    context_items=st.lists(items.map("item-{:02d}".format), max_size=2).map(tuple),
    cart_items=st.lists(items.map("item-{:02d}".format), max_size=2, unique=True).map(tuple),
    exclude_items=st.frozensets(items.map("item-{:02d}".format), max_size=6),
    filter=st.sampled_from(['brand = "acme"', "price < 12", "available = true"]) | filters,
    diversity=st.none() | st.floats(0, 1),
    personalize=st.sampled_from(["off", "light", "full"]),
)


def matched(where: object, query: Query) -> set[str]:
    from recommender.filters.parser import parse

    tree = parse(str(where))
    rows = [row for row in range(20) if truth(tree, row, query, CATALOGUE) is True]
    return {CATALOGUE.ids.id(row) for row in rows}


def ids(slate: Slate) -> list[str]:
    return [item.item_id for item in slate.items]


@given(queries, any_rules)
def test_nothing_is_shown_twice_or_leaks_past_what_may_be_shown(
    query: Query, rules: list[Rule]
) -> None:
    slate = answer(query, *rules)
    listed = ids(slate)
    assert len(listed) == len(set(listed)) <= query.limit
    mask = eligible_items(query, CATALOGUE, PLACE).mask
    assert all(mask[index] for index in CATALOGUE.ids.indices(listed))
    assert set(listed) <= matched(query.filter, query)
    for each in rules:
        if each["kind"] == "exclude":
            assert not set(listed) & matched(each["where"], query)
    assert np.isfinite([item.score for item in slate.items]).all()


def check_limits(query: Query, rules: Sequence[Rule]) -> None:
    slate = answer(query, *rules)
    listed = ids(slate)
    for number, each in enumerate(rules):
        if each["kind"] == "promotion":
            brought = [item for item in slate.items if item.promotion == f"rule-{number}"]
            assert len(brought) <= float(each["share"]) * len(listed) + 1e-6  # type: ignore[arg-type]
            assert all(item.position >= each["from_position"] for item in brought)  # type: ignore[operator]
            assert {item.item_id for item in brought} <= matched(each["where"], query)
        if "at_most" in each and "where" in each:
            assert len(set(listed) & matched(each["where"], query)) <= int(each["at_most"])  # type: ignore[call-overload]
        if "per" in each:
            own = CATALOGUE.brand_of if each["per"] == "brand" else CATALOGUE.category_of
            counted = Counter(filter(None, map(own, CATALOGUE.ids.indices(listed))))
            assert max(counted.values(), default=0) <= int(each["at_most"])  # type: ignore[call-overload]


@given(queries, any_rules)
def test_no_limit_is_ever_exceeded(query: Query, rules: list[Rule]) -> None:
    check_limits(query, rules)


# Every way for an item to come in, against limits that stand in most of their ways.
few = rule("constraint", where=known_filters, at_most=st.integers(0, 2))
few_each = rule("constraint", per=st.sampled_from(["brand", "category"]), at_most=st.integers(0, 2))
crowded = st.tuples(
    pins,
    rule("promotion", where=known_filters, share=shares, from_position=st.integers(1, 4)),
    rule("constraint", where=known_filters, at_least=st.integers(1, 9)),
    few | few_each,
)


@given(st.integers(1, 12).map(lambda limit: asked(limit=limit)), crowded)
def test_no_limit_is_exceeded_by_what_rules_bring_in(query: Query, rules: tuple[Rule, ...]) -> None:
    check_limits(query, rules)


@given(queries, st.lists(ordering, max_size=6), st.lists(excluding, max_size=2))
def test_a_list_is_as_long_as_what_may_be_shown_allows(
    query: Query, rules: list[Rule], fewer: list[Rule]
) -> None:
    assert len(ids(answer(query, *rules, *fewer))) == len(ids(answer(query, *fewer)))


@given(queries, pins)
def test_a_pin_that_may_be_shown_has_its_place(query: Query, pin: Mapping[str, object]) -> None:
    slate = answer(query, pin)
    mask = eligible_items(query, CATALOGUE, PLACE).mask
    for item_id, position in pin["items"].items():  # type: ignore[attr-defined]
        index = CATALOGUE.ids.index(item_id)
        if index is not None and mask[index] and position <= len(slate.items):
            assert slate.items[position - 1].item_id == item_id


@given(queries, at_least)
def test_at_least_is_met_as_far_as_there_are_items(query: Query, wanted: Rule) -> None:
    slate = answer(query, wanted)
    mask = eligible_items(query, CATALOGUE, PLACE).mask
    there = {i for i in matched(wanted["where"], query) if mask[CATALOGUE.ids.index(i)]}
    least = min(int(wanted["at_least"]), len(there), len(slate.items))  # type: ignore[call-overload]
    assert len(set(ids(slate)) & there) >= least


rankings = (
    st.integers(1, 20)
    .flatmap(lambda n: st.permutations(range(n)))
    .map(
        lambda order: Ranking.of_one(
            np.array(order, np.int32),
            -np.arange(len(order), dtype=np.float32),
            Origin("als", "session"),
        )
    )
)


@given(rankings, filters, st.floats(0.01, 100))
def test_a_boost_is_monotone(ranking: Ranking, where: str, factor: float) -> None:
    kind = "boost" if factor >= 1 else "bury"
    active = bound({"kind": kind, "where": where, "factor": factor}).active(asked(), CATALOGUE)
    after = boosted(ranking, active).item_idx.tolist()
    before = ranking.item_idx.tolist()
    (mine,) = ([item for item in before if active.matches(active.rules[0])[item]],)
    others = [item for item in before if item not in mine]
    assert [item for item in after if item in others] == others
    assert [item for item in after if item in mine] == mine
    assert sorted(after) == sorted(before)
    for item in mine:
        if factor >= 1:
            assert after.index(item) <= before.index(item)
        else:
            assert after.index(item) >= before.index(item)
    if factor == 1:
        assert after == before


@given(queries, any_rules)
def test_the_same_question_gets_the_same_answer(query: Query, rules: list[Rule]) -> None:
    assert answer(query, *rules) == answer(query, *rules)


@given(queries)
def test_rules_of_another_placement_take_no_part(query: Query) -> None:
    away = {"kind": "exclude", "where": "price > 0", "placements": ["home"]}
    bare = recommend(query, BUNDLE, PLACE, TopPolicy())
    assert shown(query, away) == [int(item.item_id[-2:]) for item in bare.items]
    assert query.at == AT
