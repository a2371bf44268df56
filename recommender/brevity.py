"""How long a list is that is to shorten the way.

People read a list from its top and click on what attracts first; what stands further down is
clicked on less for what it is than for standing there, and each such click is a step that leads
nowhere. So with the objective ``path`` a list ends with the last of the items asked for whose score
is at least `Placement.path_floor` of the best one's: it is short where it is clear what is wanted,
and long where it is not. A list that nothing of the shopper or the page went into is not shortened.
"""

from __future__ import annotations

import numpy as np

from recommender.placements import Placement
from recommender.query import Query
from recommender.reordered import Reordered


def brief(query: Query, ranking: Reordered, placement: Placement) -> Query:
    """The question with the length that the list is worth, at least 1 and at most that asked for.

    Parameters
    ----------
    ranking
        What may be shown, scores not negative.
    """
    first = ranking.scores[: query.limit]
    if placement.objective != "path" or not len(first):
        return query
    worth = int(np.count_nonzero(first >= placement.path_floor * first.max()))
    return query if worth >= query.limit else query.but(limit=worth)
