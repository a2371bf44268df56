from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.models.feature_file import FeatureFile, FeatureRows

WIDTH = 5


def features(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, WIDTH)).astype(np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[FeatureFile]:
    with FeatureFile(tmp_path) as opened:
        yield opened


def test_every_question_has_its_own_rows(file: FeatureFile) -> None:
    written = [features(rows, seed=rows) for rows in (3, 1, 7)]
    kept = [file.append(each) for each in written]
    assert [len(each) for each in kept] == [3, 1, 7]
    for rows, expected in zip(kept, written, strict=True):
        assert np.array_equal(rows.read(), expected)
        assert rows.read().dtype == np.float32


@given(st.integers(1, 9), st.data())
def test_rows_are_looked_up_as_in_an_array(rows: int, data: st.DataObject) -> None:
    with FeatureFile(Path.cwd()) as file:
        file.append(features(2))
        expected = features(rows, seed=1)
        kept = file.append(expected)
        place = data.draw(st.integers(-rows, rows - 1))
        some = data.draw(st.slices(rows).filter(lambda each: (each.step or 1) > 0))
        listed = data.draw(st.lists(st.integers(0, rows - 1), min_size=1))
        assert np.array_equal(kept[place], expected[place])
        assert np.array_equal(kept[some], expected[some])
        assert np.array_equal(kept[listed], expected[listed])


def test_there_is_no_row_beyond_the_last(file: FeatureFile) -> None:
    kept = file.append(features(2))
    file.append(features(2, seed=1))
    with pytest.raises(IndexError):
        _ = kept[2]


def test_views_are_written_as_they_look(file: FeatureFile) -> None:
    wide = np.random.default_rng(0).normal(size=(4, 2 * WIDTH))  # double precision, every other
    kept = file.append(wide[::2, ::2])
    assert np.array_equal(kept.read(), wide[::2, ::2].astype(np.float32))


def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    with FeatureFile(tmp_path) as file:
        kept = file.append(features(3))
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="closed"):
        kept.read()


def grown(parts: list[np.ndarray] | list[FeatureRows], right: np.ndarray) -> str:
    settings = {"objective": "lambdarank", "verbose": -1, "min_data_in_leaf": 5, "num_threads": 1}
    data = lgb.Dataset(parts, right, group=[len(each) for each in parts], params={"verbose": -1})
    return str(lgb.train(settings, data, 5).model_to_string())


def test_trees_are_those_of_the_same_features_in_memory(file: FeatureFile) -> None:
    written = [features(20, seed=number) for number in range(30)]
    right = np.concatenate([each[:, 0] > 1 for each in written]).astype(np.int32)
    assert grown([file.append(each) for each in written], right) == grown(written, right)
