from __future__ import annotations

import numpy as np
import pytest

from recommender.candidates.build import SEARCHED_BYTES
from training.models.reach import reach_params

SMALL = np.zeros((10, 4), np.float32)
LARGE = np.zeros((SEARCHED_BYTES // 16, 4), np.float32)


@pytest.mark.parametrize(
    ("reach", "vectors", "expected"),
    [
        ("catalogue", SMALL, {}),
        ("catalogue", LARGE, {}),
        ("pool", SMALL, {"of_pool": 1.0}),
        ("pool", LARGE, {"of_pool": 1.0}),
        ("auto", SMALL, {}),
        ("auto", LARGE, {"of_pool": 1.0}),
    ],
)
def test_large_vectors_choose_from_the_pool_unless_told_otherwise(
    reach: str, vectors: np.ndarray, expected: dict[str, float]
) -> None:
    assert reach_params(reach, vectors) == expected
