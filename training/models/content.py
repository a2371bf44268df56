"""Neighbours by what the catalogue says: text, category, brand, price.

For items too new or too rare to have neighbours by behaviour. An *embedding* is a function from n
items to a sparse matrix, float64 (n, d), whose rows' inner products say how alike two items are;
`describe` is ours, and any other (a language model's, say) can take its place. Ours sets three
blocks side by side, each of unit length times the square root of its weight, so that the product of
two items is the weighted sum of three cosines:

- *text*: words of the title with TF-IDF, (1 + log tf) · log(n / df) (Salton, Buckley 1988);
- *category*: the path and its ancestors, also with log(n / df): the deeper, the more it says;
- *brand*: equal or not.

A word, category or brand that more than `max_items` items share says little and costs the square of
their number: it does not take part. Items that are alike in none of these are no neighbours; to
those that are, a price nearby adds its weight times exp(-z²/2), where z is the distance of the log
prices over 0.35.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from scipy import sparse

from recommender.catalogue import CatalogueItem
from recommender.terms import Float64Array
from training.models.neighbours import NeighbourLists, strongest_of
from training.sections import ContentSpec

Embedding = Callable[[Sequence[CatalogueItem]], sparse.csr_array]
Bag = dict[str, float]

_WORD = re.compile(r"\w+")
_ROWS_AT_ONCE = 512
_PRICE_SPREAD = 0.35  # of the log price: a factor of about 1.4


def content_neighbours(
    items: Sequence[CatalogueItem],
    support: Float64Array,
    spec: ContentSpec,
    embedding: Embedding | None = None,
) -> NeighbourLists:
    """Neighbours of each item.

    The weight of neighbour j is its similarity, price included, times
    1 + boost · κ / (κ + support_j): among equally similar items those come first that behaviour
    says little about.

    Parameters
    ----------
    support
        How many shoppers dealt with each item, float64 (items,).
    embedding
        Instead of `describe`.
    """
    described = embedding(items) if embedding else describe(items, spec)
    factor = 1.0 + spec.cold_boost * spec.cold_support / (spec.cold_support + support)
    log_price = np.log([each.price or np.nan for each in items])
    blocks = _similar(described, log_price, spec.price, factor)
    return strongest_of(blocks, len(items), spec.neighbours)


def describe(items: Sequence[CatalogueItem], spec: ContentSpec) -> sparse.csr_array:
    """The embedding above, float64 (items, d)."""
    most_words = min(spec.max_items, max(1.0, spec.max_share * len(items)))
    blocks = (
        (spec.text, _weighted([_words(each) for each in items], most_words)),
        (spec.category, _weighted([_path(each) for each in items], spec.max_items)),
        (spec.brand, _weighted([_brand(each) for each in items], spec.max_items)),
    )
    scaled = [matrix * np.sqrt(weight) for weight, matrix in blocks]
    described = sparse.csr_array(sparse.hstack(scaled, format="csr"))
    described.eliminate_zeros()
    return described


def _similar(
    described: sparse.csr_array, log_price: Float64Array, price: float, factor: Float64Array
) -> Iterator[sparse.csr_array]:
    columns = sparse.csc_array(described.T)
    for start in range(0, described.shape[0], _ROWS_AT_ONCE):
        product = sparse.csr_array(described[start : start + _ROWS_AT_ONCE] @ columns)
        product.sum_duplicates()
        row = start + np.repeat(np.arange(product.shape[0]), np.diff(product.indptr))
        distance = (log_price[row] - log_price[product.indices]) / _PRICE_SPREAD
        # An unknown price is near none.
        near = np.nan_to_num(np.exp(-0.5 * distance**2))
        product.data = (product.data + price * near) * factor[product.indices]
        yield product


def _words(item: CatalogueItem) -> Bag:
    return _counted(_WORD.findall(item.title.lower()))


def _path(item: CatalogueItem) -> Bag:
    levels = item.category.split("/") if item.category else []
    return _counted("/".join(levels[: depth + 1]) for depth in range(len(levels)))


def _brand(item: CatalogueItem) -> Bag:
    return {item.brand: 1.0} if item.brand else {}


def _counted(terms: Iterable[str]) -> Bag:
    found: Bag = {}
    for term in terms:
        found[term] = found.get(term, 0.0) + 1.0
    return found


def _matrix(bags: Sequence[Bag]) -> sparse.csr_array:
    """Bags as rows, columns by term in ascending order, float64 (items, terms)."""
    places = {term: place for place, term in enumerate(sorted({t for bag in bags for t in bag}))}
    lengths = [len(bag) for bag in bags]
    indptr = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    columns = np.array([places[term] for bag in bags for term in bag], np.int64)
    values = np.array([value for bag in bags for value in bag.values()], np.float64)
    matrix = sparse.csr_array((values, columns, indptr), shape=(len(bags), max(1, len(places))))
    matrix.sort_indices()
    return matrix


def _weighted(bags: Sequence[Bag], most: float) -> sparse.csr_array:
    """TF-IDF of bags, rows of unit length; terms that more than `most` items have are left out."""
    matrix = _matrix(bags)
    n = matrix.shape[0]
    frequency = np.bincount(matrix.indices, minlength=matrix.shape[1])
    # Smoothed by one half, so that a term that every item has still counts for something.
    idf = np.log((n + 0.5) / np.maximum(frequency, 1))
    idf[frequency > most] = 0.0
    matrix.data = (1.0 + np.log(matrix.data)) * idf[matrix.indices]
    return _unit(matrix)


def _unit(matrix: sparse.csr_array) -> sparse.csr_array:
    """Rows of unit length, empty ones as they are; zeros are not stored."""
    squares = sparse.csr_array(matrix.multiply(matrix)).sum(axis=1)
    length = np.sqrt(np.asarray(squares, np.float64)).ravel()
    scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    matrix.data = matrix.data * np.repeat(scale, np.diff(matrix.indptr))
    matrix.eliminate_zeros()
    return matrix
