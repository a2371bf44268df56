from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recommender.bundle import load_bundle
from recommender.bundle_schema import OPTIONAL, PACE, REQUIRED
from recommender.errors import BundleError
from recommender.forest_arrays import heads_of
from recommender.sample_model import ITEMS, sample_arrays, save_sample


def test_it_holds_everything_that_a_bundle_may_hold() -> None:
    arrays = sample_arrays(np.random.default_rng(0))
    assert arrays.keys() >= REQUIRED.keys() | OPTIONAL.keys() | PACE.keys()
    assert heads_of(arrays) == ["next_step", "purchase"]


def test_it_is_the_same_every_time() -> None:
    one, other = (sample_arrays(np.random.default_rng(0)) for _ in range(2))
    assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("is_of_pool", [False, True])
def test_sources_with_vectors_choose_as_they_are_told(tmp_path: Path, *, is_of_pool: bool) -> None:
    save_sample(tmp_path / "made", is_of_pool=is_of_pool)
    bundle = load_bundle(tmp_path / "made")
    assert len(bundle.catalogue) == ITEMS
    assert bundle.ranker is not None
    assert [bundle.sources[name].is_of_pool for name in ("als", "encoder")] == [is_of_pool] * 2
    assert bundle.sources["encoder"].index is None


def test_long_vectors_are_searched(tmp_path: Path) -> None:
    save_sample(tmp_path / "made", is_of_pool=False, is_searched=True)
    assert load_bundle(tmp_path / "made").sources["encoder"].index is not None


def test_no_folder_is_written_over(tmp_path: Path) -> None:
    save_sample(tmp_path / "made", is_of_pool=False)
    with pytest.raises(BundleError, match="exists"):
        save_sample(tmp_path / "made", is_of_pool=False)
