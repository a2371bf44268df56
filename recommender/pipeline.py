"""From a question to an answer.

Who may count → pace → rules → seeds → candidates → score → kinds → ladder → fatigue → novelty →
the shop's order → where to go → dose → policy → slate. The shop's rules come in twice: what they
exclude is never proposed, and what they want of the order is done to the ranking.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

from recommender.assembly import CANDIDATES_KEPT, Chosen, Told, slate_of
from recommender.brevity import brief
from recommender.bundle import ModelBundle
from recommender.default_list import SPARE, DefaultList, question_of
from recommender.discretion import items_in, plain_kinds, unrevealing, without_sensitive
from recommender.dose import dosed
from recommender.explore_settings import NO_EXPLORATION, ExploreSettings
from recommender.fatigue import weariness_of
from recommender.kinds import Kinds, fitted_kinds, kinds_of, wanted_kinds
from recommender.listing import NO_LISTING
from recommender.merchandising.active import NO_RULES, WINDOW, BoundRules
from recommender.merchandising.arrangement import Arrangement, arranged
from recommender.merchandising.boosts import boosted
from recommender.merchandising.trace import Trace
from recommender.merchandising.variety import varied
from recommender.navigation import Way
from recommender.novelty import paced
from recommender.opening import Opening
from recommender.patience import ENDLESS, Patience
from recommender.personalisation import impersonal, is_personal, permitted
from recommender.placements import Placement
from recommender.policy import SlatePolicy
from recommender.query import Interaction, Query
from recommender.ranking import Blended, Proposed, Ranking, blend, fill
from recommender.rules import Eligibility, eligible_items, on_page
from recommender.seeds import Seeds, Weighing, seeds_of
from recommender.slate import ScoredItems, Slate
from recommender.stage_table import staged
from recommender.terms import (
    ADD_TO_CART,
    ITEM_KINDS,
    MICROS_PER_SECOND,
    PERSONALISED,
    SESSION,
    SIMILAR,
    VIEW_ITEM,
    BoolArray,
)
from recommender.visit import lately

# Which part of the query makes an answer how personal, most personal first.
_LEVELS = {PERSONALISED: ("history",), SESSION: ("session", "cart"), SIMILAR: ("context",)}


def recommend(
    query: Query,
    bundle: ModelBundle,
    placement: Placement,
    policy: SlatePolicy,
    rules: BoundRules = NO_RULES,
    trace: Trace | None = None,
) -> Slate:
    """Answer one query.

    The same query, bundle, placement, policy and rules give the same slate. A valid query always
    gets one, be it too late for most of its stages; it is empty only when no item may be shown,
    when its `fatigue` says so, or when nothing at all of it may differ from a list that is empty
    for everybody.

    Parameters
    ----------
    rules
        The shop's rules, bound to the catalogue of this bundle.
    trace
        Where to note what rules moved.

    Raises
    ------
    InvalidInputError
        The query's attribute filter is not acceptable.
    """
    opening = opened(query, bundle, placement, rules, trace)
    chosen, share = _chosen(opening, bundle, is_brief=True), None
    opening = opening.asking(chosen.active.query)
    is_limited = opening.placement.max_changed_share < 1 and not chosen.fatigue.is_suppressed
    # As much work again where the default is not kept, so only where it can matter.
    if is_limited and is_personal(opening.query):
        default = _default(opening, bundle, placement, rules)
        if default is None:  # too late to know what may differ: so nothing does
            chosen = _chosen(replace(opening, proposed={}), bundle)
        else:
            limits = opening.weary.most_of_each
            chosen, share = dosed(chosen, default, opening.placement, limits)
    return slate_of(chosen, policy, Told(opening.pace, opening.style, share))


def _default(
    opening: Opening, bundle: ModelBundle, placement: Placement, rules: BoundRules
) -> Chosen | None:
    """What anybody would get here, of what may be shown to the one who asks.

    None where that would have to be made, and it is too late for it.
    """
    query, open_items = opening.query, opening.open_items
    if (question := _kept_question(query, bundle, placement, rules)) is not None:
        kept = bundle.defaults.get(question)
        if kept is None or kept.placement is not placement:
            if query.patience.runs_out("default"):
                return None
            kept = _default_list(impersonal(query), bundle, placement, rules)
            bundle.defaults.keep(question, kept)
        if (made := kept.without(open_items)) is not None:
            return _passable(made, opening, bundle, placement)
    if query.patience.runs_out("default"):
        return None
    whole = opened(impersonal(query), bundle, placement, rules, within=open_items)
    return _passable(_chosen(whole, bundle), opening, bundle, placement)


def _passable(
    default: Chosen, opening: Opening, bundle: ModelBundle, placement: Placement
) -> Chosen:
    """The same without ways that lead to nothing but what is taken out, or were gone before."""
    if not default.ways:
        return default
    ways = find_ways(impersonal(opening.query), placement, opening, bundle)
    return default.over(default.arrangement, ways=ways)


def _kept_question(
    query: Query, bundle: ModelBundle, placement: Placement, rules: BoundRules
) -> Hashable | None:
    """Under what the list of anybody is kept; None where it is not to be."""
    if not rules.rules.rules:
        return question_of(query, placement)
    active = rules.active(impersonal(query), bundle.catalogue)
    return question_of(query, placement, active.rules)


def _default_list(
    anybody: Query, bundle: ModelBundle, placement: Placement, rules: BoundRules
) -> DefaultList:
    """The list of anybody with room to spare. It is made whole, as it is kept for others."""
    chosen = _chosen(opened(anybody, bundle, placement, rules), bundle, SPARE)
    return DefaultList.of(placement, chosen, anybody.limit + SPARE)


def opened(
    query: Query,
    bundle: ModelBundle,
    placement: Placement,
    rules: BoundRules = NO_RULES,
    trace: Trace | None = None,
    within: BoolArray | None = None,
) -> Opening:
    """What is known, what may be shown, and what the sources propose.

    Parameters
    ----------
    within
        Items that may be shown at all, bool (items,); None: any.
    """
    known, catalogue = permitted(query, placement), bundle.catalogue
    query = without_sensitive(known, catalogue, placement)
    placement = staged(placement, query, bundle)
    pace = bundle.pace(query.visit)
    style = placement.style(pace)
    if (limit := style.limit(query.limit)) != query.limit:
        query = query.but(limit=limit)
    active = rules.active(query, catalogue, trace)
    eligibility = eligible_items(known, catalogue, placement, active)
    if within is not None:
        eligibility = eligibility.within(within)
    level, seeds = _seeds_of(query, bundle, placement)
    near = on_page(eligibility, query, catalogue, placement)
    weary = weariness_of(query, bundle, placement)
    proposed = {} if weary.spent else propose(seeds, bundle, placement, near, query.patience)
    return Opening(
        query, placement, pace, style, active, eligibility, level, seeds, weary, proposed
    )


def _chosen(
    opening: Opening, bundle: ModelBundle, spare: int = 0, *, is_brief: bool = False
) -> Chosen:
    """From what is proposed to the list as the shop's rules want it, and so many items below it.

    Parameters
    ----------
    is_brief
        Of what is proposed only so much as the list is worth; see `recommender.brevity`.
    """
    query, placement, weary = opening.query, opening.placement, opening.weary
    seeds, active, catalogue = opening.seeds, opening.active, bundle.catalogue
    patience, level = query.patience, opening.level
    ranking = rank(opening.proposed, level, seeds, bundle, placement, patience)
    kinds = kinds_of(ranking, opening.proposed, query, bundle, placement)
    kinds = plain_kinds(kinds, catalogue, placement)
    ranking, eligibility = fitted_kinds(ranking, kinds, query, placement, opening.eligibility)
    explore = exploration_at(placement, query, kinds)
    length = max(weary.reach, active.length) + (0 if explore.is_idle else explore.reach) + spare
    open_items = weary.open_to(eligibility.mask)

    def filled(ranking: Ranking) -> Ranking:
        if len(ranking) >= length:
            return ranking
        known = catalogue if len(seeds) else catalogue.for_strangers
        return fill(ranking, query, known, placement, open_items, length)

    rested = weary.settle(ranking, filled)
    if is_brief and opening.proposed:
        query = brief(query, rested.ranking, placement)
        active = active if query is opening.query else replace(active, query=query)
    fatigue, is_silent = rested.fatigue, weary.spent or rested.fatigue.is_suppressed
    showable, active = weary.showable(open_items), active.limited(weary.most_of_each)
    if fatigue.is_suppressed:
        arrangement = Arrangement(NO_LISTING)
    else:
        in_pace = paced(rested.ranking, query, opening.style, seeds, catalogue)
        # The rules bring nothing in that rests. Of what stands below the list, chance may show as
        # much as it reaches, and what is in the default or of a kind is stepped over.
        most = max(CANDIDATES_KEPT, 2 * query.limit + explore.reach + len(kinds)) + spare
        ranking = in_pace.first(WINDOW if active.is_ordering else most)
        ranking = varied(boosted(ranking, active), active, seeds, bundle)
        arrangement = arranged(ranking, active, showable, most)
    ways = () if is_silent else find_ways(query, placement, opening, bundle)
    promised = bundle.promised(placement.name)
    return Chosen(active, eligibility, arrangement, fatigue, kinds, ways, promised, explore)


def exploration_at(placement: Placement, query: Query, kinds: Kinds) -> ExploreSettings:
    """What is left to chance; nothing where no seed is given or nothing of a list may differ."""
    explore = placement.explore
    if query.seed is None or not placement.max_changed_share:
        return NO_EXPLORATION
    if kinds and placement.kind_order:
        # Scores were cut to those of the kinds put first: they look nearer than they are.
        return replace(explore, temperature=0.0)
    return explore


def propose(
    seeds: Seeds,
    bundle: ModelBundle,
    placement: Placement,
    eligibility: Eligibility,
    patience: Patience = ENDLESS,
) -> Mapping[str, ScoredItems]:
    """Candidates of each source that takes part, as long as there is time; none without seeds."""
    if not len(seeds):
        return {}
    panel = bundle.panel(placement.sources)
    return panel.propose(seeds, eligibility.mask, placement.candidates, patience)


def rank(
    proposed: Mapping[str, ScoredItems],
    level: str,
    seeds: Seeds,
    bundle: ModelBundle,
    placement: Placement,
    patience: Patience = ENDLESS,
) -> Ranking:
    """Blend what the sources propose, and let the ranker order the best of it.

    The blend decides where there is no ranker, or no time for it.
    """
    ranker = bundle.ranker
    if ranker is None:
        return blend(proposed, bundle.manifest.info.blend).ranking(level)
    blended = blend(proposed, ranker.shortlist, ranker.candidates, of_all=True)
    if not len(blended) or patience.runs_out("ranker"):
        return blended.ranking(level)
    scores = ranker.scores(shortlisted(blended), seeds, placement)
    return blended.reordered(scores).ranking(level)


def shortlisted(blended: Blended) -> Proposed:
    """The best of a blend, as the ranker takes it."""
    proposals = blended.proposals
    return Proposed(
        blended.item_idx, blended.scores, proposals.names, *blended.shares(), blended.pool
    )


def find_seeds(query: Query, bundle: ModelBundle, placement: Placement) -> tuple[str, Seeds]:
    """What the sources start from, and the rung of the ladder that this is."""
    known = without_sensitive(permitted(query, placement), bundle.catalogue, placement)
    return _seeds_of(known, bundle, placement)


def _seeds_of(query: Query, bundle: ModelBundle, placement: Placement) -> tuple[str, Seeds]:
    """The same of a query with only what may take part."""
    info, at_micros = bundle.manifest.info, round(query.at.timestamp() * MICROS_PER_SECOND)
    weighing = Weighing(at_micros, info.event_weights, info.seed_half_life_seconds)
    parts = _seed_parts(query, placement, at_micros)
    seeds, found = seeds_of(parts, bundle.catalogue.ids, weighing)
    for level, names in _LEVELS.items():
        if any(name in found for name in names):
            return level, seeds
    return SIMILAR, seeds


def find_ways(
    query: Query, placement: Placement, opening: Opening, bundle: ModelBundle
) -> tuple[Way, ...]:
    """Where to go instead of looking at an item, where the placement or the query wants that.

    Parameters
    ----------
    query
        That of the opening, or anybody's in its place.
    opening
        Of who asks: what may be shown to them, whatever kinds of items are wanted here, and where
        their visit went lately, which need not be pointed at again.
    """
    wanted = wanted_kinds(query, placement)
    if bundle.ways is None or not placement.navigation or set(wanted) <= set(ITEM_KINDS):
        return ()
    mask = opening.open_items & ~items_in(placement.sensitive_categories, bundle.catalogue)
    gone = lately(opening.query.visit, placement.navigation_rest)
    ways = bundle.ways.best(query, wanted, mask, placement.navigation, gone)
    return unrevealing(ways, query, bundle.catalogue, placement)


def explain(
    query: Query,
    bundle: ModelBundle,
    placement: Placement,
    rules: BoundRules = NO_RULES,
    limit: int = CANDIDATES_KEPT,
) -> list[tuple[str, dict[str, float]]]:
    """What each source adds to the best candidates: (item_id, source → part of the score)."""
    proposed = opened(query, bundle, placement, rules).proposed
    weights = bundle.manifest.info.blend
    best, ids = blend(proposed, weights, limit), bundle.catalogue.ids
    if not len(best):
        return []
    names, parts = best.proposals.names, best.parts(weights)
    heard = [row for row in best.proposals.counts.nonzero()[0].tolist() if weights.get(names[row])]
    return [
        (ids.id(item), {names[row]: float(parts[row, place]) for row in heard})
        for place, item in enumerate(best.item_idx.tolist())
    ]


def _seed_parts(
    query: Query, placement: Placement, at_micros: int
) -> dict[str, Sequence[Interaction]]:
    parts = {
        "history": query.history,
        "session": query.session,
        "cart": [Interaction(item_id, ADD_TO_CART, at_micros) for item_id in query.cart_items],
        "context": [Interaction(item_id, VIEW_ITEM, at_micros) for item_id in query.context_items],
    }
    return {name: part for name, part in parts.items() if part and name in placement.seeds}
