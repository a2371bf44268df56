"""Files of the top-n protocol: one user a line, their id and then the ids of their items."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from recommender.errors import DataError
from recommender.terms import Int32Array, Int64Array


@dataclass(frozen=True, slots=True)
class ItemLists:
    """Lists of items by user, in the order of the file.

    Parameters
    ----------
    items
        int32 (pairs,), the users' lists one after the other.
    offsets
        Where each user's list begins, int64 (users+1,).
    """

    items: Int32Array
    offsets: Int64Array

    @property
    def users(self) -> int:
        """Number of users, those without items included."""
        return len(self.offsets) - 1

    def of(self, user: int) -> Int32Array:
        """Items of one user, int32."""
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    def matrix(self, items: int) -> sparse.csr_array:
        """1 where the user has the item, float32 (users, items)."""
        ones = np.ones(len(self.items), np.float32)
        shape = (self.users, items)
        # A copy: sorting the indices of the matrix must not sort the lists, whose order says more.
        matrix = sparse.csr_array((ones, self.items, self.offsets), shape=shape, copy=True)
        matrix.sum_duplicates()
        return matrix

    def split(self, share: float) -> tuple[ItemLists, ItemLists]:
        """The lists without their last part, and the last parts: at least one item of two.

        Files of this form often keep the order of time, and what comes last is then what a test
        file holds; where they do not, the last items are as good a sample as any.
        """
        lengths = np.diff(self.offsets)
        held = np.where(lengths > 1, np.maximum(1, np.rint(share * lengths)), 0).astype(np.int64)
        rank = np.arange(len(self.items)) - np.repeat(self.offsets[:-1], lengths)
        is_held = rank >= np.repeat(lengths - held, lengths)
        kept = ItemLists(self.items[~is_held], _offsets(lengths - held))
        return kept, ItemLists(self.items[is_held], _offsets(held))


@dataclass(frozen=True, slots=True)
class Pair:
    """A training and a test file over the same users and items."""

    train: ItemLists
    test: ItemLists
    items: int


def read_pair(train: Path, test: Path, seed: int) -> Pair:
    """Read both files.

    Items are numbered in a random order drawn from the seed: their ids often follow the order in
    which they were met, and no tie may be broken by that.

    Raises
    ------
    DataError
        A file cannot be read, a line is not numbers, or there is nothing to learn or to ask.
    """
    rows = [_read(path) for path in (train, test)]
    for path, found in zip((train, test), rows, strict=True):
        if not any(items for _, items in found):
            raise DataError(f"{path}: no user has an item; lines of 'user item item …' are needed")
    users = 1 + max(user for found in rows for user, _ in found)
    count = 1 + max(item for found in rows for _, items in found for item in items)
    number = np.random.default_rng(seed).permutation(count).astype(np.int32)
    lists = [_lists(found, users, number) for found in rows]
    return Pair(lists[0], lists[1], count)


def _read(path: Path) -> list[tuple[int, list[int]]]:
    found = []
    try:
        for line_number, line in enumerate(path.read_text("ascii").splitlines(), 1):
            if words := line.split():
                user, *items = _numbers(words, path, line_number)
                found.append((user, items))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}; a readable text file is needed") from error
    return found


def _numbers(words: list[str], path: Path, line_number: int) -> list[int]:
    if all(word.isdecimal() for word in words):
        return [int(word) for word in words]
    wrong = next(word for word in words if not word.isdecimal())
    raise DataError(f"{path}, line {line_number}: {wrong!r}; accepted: whole numbers from 0")


def _lists(rows: list[tuple[int, list[int]]], users: int, number: Int32Array) -> ItemLists:
    by_user: list[list[int]] = [[] for _ in range(users)]
    for user, items in rows:
        by_user[user].extend(items)
    flat = [item for items in by_user for item in dict.fromkeys(items)]
    lengths = np.array([len(set(items)) for items in by_user], np.int64)
    return ItemLists(number[np.array(flat, np.int64)], _offsets(lengths))


def _offsets(lengths: Int64Array) -> Int64Array:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
