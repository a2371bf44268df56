"""Categories that nobody is to be reminded of: they neither drive nor explain a recommendation.

`Placement.sensitive_categories` names them; a category includes its descendants. What a shopper did
with their items takes no part in any answer, as if it had not been: it is no seed, sets no pace and
no mix of categories, makes no kind, and nothing that a rule or a filter asks of the cart counts it.
The items themselves are shown on pages of their category alone, where the page's own items may be
seeds. What takes items away (bought, dismissed, in the cart, resting) is obeyed there as anywhere.

An item that the catalogue does not have has no category that could be known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np

from recommender.catalogue import Catalogue
from recommender.navigation import Way
from recommender.placements import Placement
from recommender.query import Interaction, Query, Visit
from recommender.terms import OFF, TO_SEARCH, BoolArray

_WORD: Final = re.compile(r"\w+")


def items_in(paths: Iterable[str], catalogue: Catalogue) -> BoolArray:
    """Items of some categories and their descendants, bool (items,)."""
    found = np.zeros(len(catalogue), np.bool_)
    for path in paths:
        found[catalogue.in_category(path)] = True
    return found


def unknown_categories(placements: Iterable[Placement], catalogue: Catalogue) -> list[str]:
    """Sensitive categories without an item: one that is misspelt protects nobody."""
    return [path for path in sensitive_paths(placements) if not len(catalogue.in_category(path))]


def sensitive_paths(placements: Iterable[Placement]) -> list[str]:
    """The sensitive categories of all placements, each once."""
    return list(dict.fromkeys(path for each in placements for path in each.sensitive_categories))


def hidden_items(query: Query, catalogue: Catalogue, placement: Placement) -> BoolArray:
    """Sensitive items that may not be shown on the page of a query, bool (items,)."""
    return items_in(_elsewhere(query, catalogue, placement), catalogue)


def without_sensitive(query: Query, catalogue: Catalogue, placement: Placement) -> Query:
    """The query without what the shopper did with sensitive items.

    Exposures stay on pages of their category, so that what was ignored there may rest.
    """
    if not placement.sensitive_categories or query.personalize == OFF:
        return query
    sensitive = items_in(placement.sensitive_categories, catalogue)
    hidden = hidden_items(query, catalogue, placement)

    def is_in(mask: BoolArray, item_id: str) -> bool:
        index = catalogue.ids.index(item_id)
        return index is not None and bool(mask[index])

    def kept(interactions: tuple[Interaction, ...]) -> tuple[Interaction, ...]:
        return tuple(each for each in interactions if not is_in(sensitive, each.item_id))

    met = frozenset(each for each in query.visit.met_before if not is_in(sensitive, each))
    return query.but(
        history=kept(query.history),
        session=kept(query.session),
        visit=Visit(kept(query.visit.events), met),
        cart_items=tuple(each for each in query.cart_items if not is_in(sensitive, each)),
        exposures=tuple(each for each in query.exposures if not is_in(hidden, each.item_id)),
    )


def plain_kinds(
    kinds: Mapping[int, str], catalogue: Catalogue, placement: Placement
) -> Mapping[int, str]:
    """Kinds of items without those of sensitive ones: they are plain items wherever they stand."""
    if not placement.sensitive_categories:
        return kinds
    sensitive = items_in(placement.sensitive_categories, catalogue)
    return {index: kind for index, kind in kinds.items() if not sensitive[index]}


def unrevealing(
    ways: tuple[Way, ...], query: Query, catalogue: Catalogue, placement: Placement
) -> tuple[Way, ...]:
    """Ways without searches that share a word with a sensitive category.

    From a page of such a category no search is named at all: those that follow there are about it.
    """
    if not placement.sensitive_categories or all(way.kind != TO_SEARCH for way in ways):
        return ways
    if len(list(_elsewhere(query, catalogue, placement))) < len(placement.sensitive_categories):
        return tuple(way for way in ways if way.kind != TO_SEARCH)
    words = set(_words_of(placement.sensitive_categories, catalogue))
    return tuple(
        way for way in ways if way.kind != TO_SEARCH or words.isdisjoint(_words(way.target or ""))
    )


def _elsewhere(query: Query, catalogue: Catalogue, placement: Placement) -> Iterator[str]:
    """The sensitive categories that the page is not in."""
    pages = [catalogue.category_of(index) for index in catalogue.ids.indices(query.context_items)]
    for path in placement.sensitive_categories:
        if not any(page and is_within(page, path) for page in (query.category, *pages)):
            yield path


def is_within(category: str, path: str) -> bool:
    """Whether a category is that of a path or one of its descendants."""
    return category == path or category.startswith(f"{path}/")


def _words_of(paths: Iterable[str], catalogue: Catalogue) -> Iterator[str]:
    """Words of the last name of these categories, and of their descendants."""
    known = catalogue.categories.ids.tolist()
    for path in paths:
        for category in (path, *(each for each in known if is_within(each, path))):
            yield from _words(category.rpartition("/")[2])


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
