"""What a source with vectors chooses from, as a parameter that the bundle has of it."""

from __future__ import annotations

from recommender.candidates.build import SEARCHED_BYTES
from recommender.terms import Float32Array
from training.sections import CATALOGUE, POOL


def reach_params(reach: str, vectors: Float32Array) -> dict[str, float]:
    """``of_pool`` where that is what the others propose; nothing where it is the catalogue.

    Parameters
    ----------
    reach
        As a specification has it.
    vectors
        float32 (items, factors).
    """
    is_large = vectors.nbytes >= SEARCHED_BYTES
    return {"of_pool": 1.0} if reach == POOL or (reach != CATALOGUE and is_large) else {}
