"""Answer questions of a made-up model, so that all machine code is there before it is needed."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

from recommender.bundle import load_bundle
from recommender.placements import Placement
from recommender.sample_model import save_sample
from serving.bundle_source import ask_canaries

# As in a small shop, as in a large one, and where vectors are searched.
_MODELS = ({"is_of_pool": False}, {"is_of_pool": True}, {"is_of_pool": False, "is_searched": True})


def rehearse(placements: Collection[Placement]) -> None:
    """Compile every kernel that an answer may need, and keep the machine code on disk.

    It is kept where `recommender.compiled` says, for this processor. What is there already is
    loaded only. Models are read from files, since what is read from one is of another type than
    what was just made.
    """
    with tempfile.TemporaryDirectory(prefix="desirepath-rehearsal-") as folder:
        for number, made in enumerate(_MODELS):
            path = Path(folder) / f"{number}"
            save_sample(path, **made)
            ask_canaries(load_bundle(path), placements)
