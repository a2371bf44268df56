"""The made-up shop's category tree, read from `assortment.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.resources import files

import msgspec

from recommender.errors import ConfigError


class Leaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"goes_with": "with"}):
    """A category that holds items; the comments of `assortment.toml` describe the fields."""

    path: str
    noun: str
    price: float
    every: int = 0
    peak: int = 1
    swing: float = 0.0
    goes_with: tuple[str, ...] = ()


class _Assortment(msgspec.Struct, forbid_unknown_fields=True):
    leaf: tuple[Leaf, ...]


def read_leaves(limit: int) -> tuple[Leaf, ...]:
    """Give the first `limit` leaves of the tree.

    Raises
    ------
    ConfigError
        The file has an unknown key, or a `with` names a leaf that does not exist.
    """
    text = files("training.simulation").joinpath("assortment.toml").read_text("utf-8")
    try:
        leaves = msgspec.convert(tomllib.loads(text), _Assortment).leaf
    except msgspec.ValidationError as error:
        raise ConfigError(f"assortment.toml: {error}") from error
    check_pairs(leaves)
    return leaves[:limit]


def check_pairs(leaves: Sequence[Leaf]) -> None:
    """Raise `ConfigError` where a leaf goes with one that does not exist."""
    known = {leaf.path for leaf in leaves}
    for leaf in leaves:
        if missing := set(leaf.goes_with) - known:
            raise ConfigError(
                f"assortment.toml: {leaf.path} goes with {sorted(missing)}, which is no leaf; "
                f"accepted: a path of the file"
            )
