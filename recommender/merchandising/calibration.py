"""The categories that a calibration counts by."""

from __future__ import annotations

from typing import Final

import numpy as np

from recommender.catalogue import Catalogue
from recommender.terms import Int32Array

OTHER: Final = -1


def groups_of_items(catalogue: Catalogue, depth: int) -> Int32Array:
    """For each item, its category cut to the first levels of its path, as a number, or `OTHER`."""
    paths = catalogue.categories.ids.tolist()
    cut = ["/".join(path.split("/")[:depth]) for path in paths]
    numbers = {path: number for number, path in enumerate(dict.fromkeys(cut))}
    # One more at the end, where the code of an unknown category (-1) leads.
    groups = np.array([*(numbers[path] for path in cut), OTHER], np.int32)
    of_items: Int32Array = groups[catalogue.item_category]
    return of_items
