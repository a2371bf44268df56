"""Which arrays a bundle may hold, with dtype and shape. A file that is not listed here is refused.

Notation: shapes are written in named dimensions; a name means the same number in the whole bundle.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from recommender import acceptance
from recommender.errors import BundleError
from recommender.forest_arrays import check_forest, dtype_and_dim, heads_of
from recommender.impression_discount import ARRAY, check_discount

FORMAT: Final = 1
MAX_ARRAY_BYTES: Final = 8 << 30
MAX_MANIFEST_BYTES: Final = 4 << 20
MAX_DIMENSION: Final = 100_000_000
# Kinds of steps of `recommender.course`; here, because there are kernels.
COURSE_KINDS: Final = 8


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """dtype and named dimensions of one array; ``"items+1"`` means one more than ``items``."""

    dtype: str
    dims: tuple[str, ...]


_STRINGS = {
    "item_id": ("items", True),
    "title": ("items", False),
    "category": ("categories", True),
    "brand": ("brands", True),
}

REQUIRED: Final[dict[str, ArraySpec]] = {
    **{f"{name}_data": ArraySpec("uint8", (f"{name}_bytes",)) for name in _STRINGS},
    **{f"{name}_offsets": ArraySpec("int64", (f"{dim}+1",)) for name, (dim, _) in _STRINGS.items()},
    **{
        f"{name}_slots": ArraySpec("int32", (f"{name}_slots",))
        for name, (_, is_map) in _STRINGS.items()
        if is_map
    },
    "item_category": ArraySpec("int32", ("items",)),
    "item_brand": ArraySpec("int32", ("items",)),
    "item_price": ArraySpec("float32", ("items",)),
    "item_available": ArraySpec("bool", ("items",)),
    "popularity": ArraySpec("float32", ("items",)),
    "popular_order": ArraySpec("int32", ("items",)),
    "category_items": ArraySpec("int32", ("category_members",)),
    "category_items_offsets": ArraySpec("int64", ("categories+1",)),
}

OPTIONAL: Final[dict[str, ArraySpec]] = {
    "item_factors": ArraySpec("float32", ("items", "factors")),
    "factor_inverse": ArraySpec("float32", ("factors", "factors")),
    "item_vectors": ArraySpec("float32", ("items", "vector_factors")),
    "encoder_vectors": ArraySpec("float32", ("items", "encoder_factors")),
    "encoder_lengths": ArraySpec("float32", ("items",)),
    "encoder_lag_weights": ArraySpec("float32", ("encoder_depth",)),
    "session_items": ArraySpec("int32", ("session_steps",)),
    "session_offsets": ArraySpec("int64", ("sessions+1",)),
    "item_sessions": ArraySpec("int32", ("item_session_pairs",)),
    "item_sessions_offsets": ArraySpec("int64", ("items+1",)),
    "item_stats": ArraySpec("float32", ("items", "stats")),
    "course_child": ArraySpec("int32", ("course_nodes", "course_kinds+1")),
    "course_share": ArraySpec("float32", ("course_nodes", "course_kinds")),
    "repeat_probability": ArraySpec("float32", ("items",)),
    "interval_log_mean": ArraySpec("float32", ("items",)),
    "interval_log_sd": ArraySpec("float32", ("items",)),
    "usual_interval": ArraySpec("float32", ("usual_intervals",)),
    ARRAY: ArraySpec("float32", ("counted_exposures", "exposure_ages")),
    acceptance.TABLE: ArraySpec("float32", ("acceptance_placements", "acceptance_places")),
    acceptance.NAMES: ArraySpec("uint8", ("acceptance_placement_bytes",)),
    acceptance.OFFSETS: ArraySpec("int64", ("acceptance_placements+1",)),
    "buy_again_demand": ArraySpec("float32", ("items",)),
    "rest_days": ArraySpec("float32", ("items",)),
    "stranger_popularity": ArraySpec("float32", ("items",)),
    "pair_idx": ArraySpec("int32", ("items", "pair_width")),
    "pair_lift": ArraySpec("float32", ("items", "pair_width")),
    "pair_category": ArraySpec("int32", ("categories", "pair_category_width")),
    "pair_category_lift": ArraySpec("float32", ("categories", "pair_category_width")),
    "way_item_worth": ArraySpec("float32", ("way_states", "way_ranks")),
    "way_category": ArraySpec("int32", ("way_states", "way_categories")),
    "way_category_worth": ArraySpec("float32", ("way_states", "way_categories")),
    "way_term": ArraySpec("int32", ("way_states", "way_terms")),
    "way_term_worth": ArraySpec("float32", ("way_states", "way_terms")),
    "way_checkout_worth": ArraySpec("float32", ("way_states",)),
    "term_data": ArraySpec("uint8", ("term_bytes",)),
    "term_offsets": ArraySpec("int64", ("terms+1",)),
}

_ENCODER_ARRAYS = ("encoder_vectors", "encoder_lengths", "encoder_lag_weights")
_PAIR_ARRAYS = ("pair_idx", "pair_lift", "pair_category", "pair_category_lift")
_WAY_ARRAYS = (
    "way_item_worth",
    "way_category",
    "way_category_worth",
    "way_term",
    "way_term_worth",
    "way_checkout_worth",
    "term_data",
    "term_offsets",
)
# See `recommender.pace`; all of them or none.
PACE: Final[dict[str, ArraySpec]] = {
    "pace_signature": ArraySpec("int64", ("pace_signatures",)),
    "pace_quantiles": ArraySpec("float32", ("pace_measures", "pace_knots")),
    "pace_hidden": ArraySpec("float32", ("pace_features", "pace_units")),
    "pace_hidden_bias": ArraySpec("float32", ("pace_units",)),
    "pace_output": ArraySpec("float32", ("pace_units", "pace_modes")),
    "pace_output_bias": ArraySpec("float32", ("pace_modes",)),
}

_SESSION_ARRAYS = ("session_items", "session_offsets", "item_sessions", "item_sessions_offsets")
# Offsets, and the dimension that they part.
_OFFSETS: Final = {
    "category_items_offsets": "category_members",
    "session_offsets": "session_steps",
    "item_sessions_offsets": "item_session_pairs",
}

NEIGHBOURS = re.compile(r"neighbours_([a-z][a-z0-9_]{0,40})_(idx|weight)")
SHORTLIST = re.compile(r"shortlist_([a-z][a-z0-9_]{0,40})_(items|score)")


def spec_of(name: str) -> ArraySpec:
    """Specification of an array. Raises `BundleError` for a name that no bundle may hold."""
    if (spec := REQUIRED.get(name) or OPTIONAL.get(name) or PACE.get(name)) is not None:
        return spec
    if match := NEIGHBOURS.fullmatch(name):
        source, part = match.groups()
        return ArraySpec("int32" if part == "idx" else "float32", ("items", f"{source}_width"))
    if (forest := dtype_and_dim(name)) is not None:
        return ArraySpec(forest[0], (forest[1],))
    if match := SHORTLIST.fullmatch(name):
        source, part = match.groups()
        return ArraySpec("int32" if part == "items" else "float32", (f"{source}_listed",))
    raise BundleError(f"array {name!r} is not part of bundle format {FORMAT}")


def check_arrays(arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Raise `BundleError` unless names, dtypes, shapes and finiteness are as specified."""
    if missing := sorted(REQUIRED.keys() - arrays.keys()):
        raise BundleError(f"arrays missing: {', '.join(missing)}")
    sizes: dict[str, int] = {}
    for name in sorted(arrays):
        _check_array(name, arrays[name], sizes)
    _check_pairs(arrays)
    _check_usual_interval(arrays)
    _check_indices(arrays, sizes)
    if ARRAY in arrays:
        check_discount(arrays[ARRAY])
    for head in heads_of(arrays):
        check_forest(arrays, head)


def _check_array(name: str, array: npt.NDArray[np.generic], sizes: dict[str, int]) -> None:
    spec = spec_of(name)
    if array.dtype != np.dtype(spec.dtype):
        raise BundleError(f"{name}: dtype {array.dtype}; accepted: {spec.dtype}")
    if array.ndim != len(spec.dims):
        raise BundleError(f"{name}: {array.ndim} dimensions; accepted: {spec.dims}")
    for dim, size in zip(spec.dims, array.shape, strict=True):
        _check_dimension(name, dim, size, sizes)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BundleError(f"{name}: holds NaN or infinity")


def _check_dimension(name: str, dim: str, size: int, sizes: dict[str, int]) -> None:
    base, _, extra = dim.partition("+")
    known = sizes.setdefault(base, size - int(extra or 0))
    if known < 0 or size != known + int(extra or 0) or size > MAX_DIMENSION:
        raise BundleError(f"{name}: dimension {dim} is {size}; {base} is {known} elsewhere")


def _check_pairs(arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
    pairs = [("item_factors", "factor_inverse"), *pairwise(_SESSION_ARRAYS)]
    pairs += pairwise(_ENCODER_ARRAYS)
    pairs += [*pairwise(_PAIR_ARRAYS), *pairwise(_WAY_ARRAYS)]
    pairs += [("course_child", "course_share"), *pairwise(PACE), *pairwise(acceptance.ARRAYS)]
    matches = (NEIGHBOURS.fullmatch(name) for name in arrays)
    pairs += [(f"neighbours_{m[1]}_idx", f"neighbours_{m[1]}_weight") for m in matches if m]
    matches = (SHORTLIST.fullmatch(name) for name in arrays)
    pairs += [(f"shortlist_{m[1]}_items", f"shortlist_{m[1]}_score") for m in matches if m]
    for one, other in pairs:
        if (one in arrays) != (other in arrays):
            raise BundleError(f"{one} and {other} belong together; only one of them is there")


def _check_usual_interval(arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
    usual = arrays.get("usual_interval")
    if usual is not None and not (usual.shape == (1,) and usual.item() > 0):
        raise BundleError(f"usual_interval: {usual.tolist()}; accepted: one number above 0")


def _check_indices(arrays: Mapping[str, npt.NDArray[np.generic]], sizes: Mapping[str, int]) -> None:
    items = sizes["items"]
    limits = {
        "item_category": (-1, sizes["categories"]),
        "item_brand": (-1, sizes["brands"]),
        "category_items": (0, items),
        "item_id_slots": (-1, items),
        "category_slots": (-1, sizes["categories"]),
        "brand_slots": (-1, sizes["brands"]),
    }
    limits |= {name: (-1, items) for name in arrays if name.endswith("_idx")}
    limits |= {
        name: (0, items) for name in arrays if SHORTLIST.fullmatch(name) and name.endswith("_items")
    }
    if "session_offsets" in arrays:
        limits |= {"session_items": (0, items), "item_sessions": (0, sizes["sessions"])}
    categories = {"pair_category", "way_category"} & arrays.keys()
    limits |= dict.fromkeys(categories, (-1, sizes["categories"]))
    if "course_child" in arrays:
        limits |= {"course_child": (-1, sizes["course_nodes"])}
        _check_courses(sizes)
    if "way_term" in arrays:
        limits |= {"way_term": (-1, sizes["terms"])}
        _check_states(sizes)
    for name, (low, high) in limits.items():
        array = arrays[name]
        if array.size and not (array.min() >= low and array.max() < high):
            raise BundleError(f"{name}: indices outside {low}..{high - 1}")
    if not np.array_equal(np.sort(arrays["popular_order"]), np.arange(items)):
        raise BundleError("popular_order: not a permutation of all items")
    for offsets in _OFFSETS.keys() & arrays.keys():
        _check_offsets(offsets, arrays[offsets], sizes[_OFFSETS[offsets]])


def _check_courses(sizes: Mapping[str, int]) -> None:
    if sizes["course_kinds"] != COURSE_KINDS or not sizes["course_nodes"]:
        raise BundleError(
            f"course_share: {sizes['course_nodes']} contexts of {sizes['course_kinds']} kinds; "
            f"accepted: at least one, {COURSE_KINDS}"
        )


def _check_states(sizes: Mapping[str, int]) -> None:
    states = 2 * (sizes["categories"] + 1)
    if sizes["way_states"] != states:
        raise BundleError(f"way_item_worth: {sizes['way_states']} states; accepted: {states}")


def _check_offsets(name: str, offsets: npt.NDArray[np.generic], size: int) -> None:
    bounds = np.asarray(offsets, np.int64)
    if bounds[0] != 0 or bounds[-1] != size or (np.diff(bounds) < 0).any():
        raise BundleError(f"{name}: does not span its {size} members")
