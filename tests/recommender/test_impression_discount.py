from __future__ import annotations

import numpy as np
import pytest

from recommender.bundle import bundle_of
from recommender.bundle_manifest import BundleManifest
from recommender.errors import BundleError
from recommender.exposures import MOST_COUNTED
from recommender.impression_discount import (
    AGE_EDGES_SECONDS,
    AGES,
    ARRAY,
    DEFAULT_DISCOUNT,
    check_discount,
    discounts,
)
from tests.bundles import shop_arrays, shop_info

SECOND = 1_000_000


def test_the_default_falls_with_showings_and_fades_with_time() -> None:
    check_discount(DEFAULT_DISCOUNT)
    assert DEFAULT_DISCOUNT[0, 0] == pytest.approx(np.exp(-0.3))
    assert DEFAULT_DISCOUNT[-1, 0] == pytest.approx(np.exp(-0.3 * MOST_COUNTED))


def test_each_item_gets_the_discount_of_its_showings_and_age() -> None:
    ignored = [0, 1, 1, 3, 99]
    ages = [age * SECOND for age in (0, 0, AGE_EDGES_SECONDS[0], 30 * 86_400, 0)]
    table = DEFAULT_DISCOUNT
    expected = [1.0, table[0, 0], table[0, 1], table[2, -1], table[-1, 0]]
    assert discounts(table, ignored, ages) == [float(each) for each in expected]


@pytest.mark.parametrize(
    "table",
    [
        np.ones((MOST_COUNTED, AGES + 1), np.float32),
        np.zeros((MOST_COUNTED, AGES), np.float32),
        np.full((MOST_COUNTED, AGES), 1.5, np.float32),
        DEFAULT_DISCOUNT[::-1].copy(),
        DEFAULT_DISCOUNT[:, ::-1].copy(),
    ],
)
def test_a_bundle_refuses_a_table_that_is_none(table: np.ndarray) -> None:
    arrays = shop_arrays() | {ARRAY: table}
    with pytest.raises(BundleError, match=ARRAY):
        bundle_of(arrays, BundleManifest.describe(shop_info(), {}))


def test_a_bundle_keeps_its_table() -> None:
    arrays = shop_arrays() | {ARRAY: DEFAULT_DISCOUNT.copy()}
    bundle = bundle_of(arrays, BundleManifest.describe(shop_info(), {}))
    assert np.array_equal(bundle.arrays[ARRAY], DEFAULT_DISCOUNT)
