from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from benchmarks.quality import main
from benchmarks.topn.choice import questions
from benchmarks.topn.lists import ItemLists, Pair, read_pair
from benchmarks.topn.metric import CUTS, Questions, best
from recommender.errors import DataError

USERS, ITEMS, KNOWN = 40, 60, 11


def lists_of(rows: list[list[int]]) -> ItemLists:
    offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return ItemLists(np.array([item for row in rows for item in row], np.int32), offsets)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkerboard: even users have even items only, odd users odd ones."""
    folder = tmp_path_factory.mktemp("topn")
    rng = np.random.default_rng(0)
    train, test = [], []
    for user in range(USERS):
        own = rng.permutation(np.arange(user % 2, ITEMS, 2))[:15].tolist()
        train.append(" ".join(map(str, [user, *own[:KNOWN]])))
        test.append(" ".join(map(str, [user, *own[KNOWN:]])))
    paths = folder / "train.txt", folder / "test.txt"
    for path, lines in zip(paths, (train, test), strict=True):
        path.write_text("\n".join(lines) + "\n")
    return paths


def run(files: tuple[Path, Path], out: Path, capsys: pytest.CaptureFixture[str]) -> dict:
    train, test = map(str, files)
    assert main(["topn", "--train", train, "--test", test, "--out", str(out), "--json"]) == 0
    captured = capsys.readouterr()
    assert "popularity" in captured.err
    found: dict = json.loads(captured.out.splitlines()[-1])
    return found


def test_the_command_measures_every_model_draws_and_repeats_itself(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(files, tmp_path / "one", capsys)
    names = {"linear", "als_tuned", "als_plain", "item_knn", "popularity"}
    assert names <= found.keys()
    assert (found["users"], found["items"]) == (USERS, ITEMS)
    # Nineteen items of the own kind are left for twenty places; popularity mixes both kinds.
    assert found["recall@20"] > 0.95
    assert found["recall@20"] > found["popularity"]["recall@20"] + 0.3
    for row in (found, *(found[name] for name in names)):
        assert 0 <= row["ndcg@20"] <= 1
        assert row["fit_seconds"] >= 0
        assert row["peak_mib"] > 0
    assert (tmp_path / "one" / "topn.png").read_bytes().startswith(b"\x89PNG")
    again = run(files, tmp_path / "two", capsys)
    assert without_costs(again) == without_costs(found)
    pictures = [(tmp_path / name / "topn.png").read_bytes() for name in ("one", "two")]
    assert pictures[0] == pictures[1]


def without_costs(found: dict) -> dict:
    costs = ("fit_seconds", "peak_mib", "choose_seconds")
    return {
        key: without_costs(value) if isinstance(value, dict) else value
        for key, value in found.items()
        if key not in costs
    }


@given(seed=st.integers(0, 1_000))
@settings(max_examples=20)
def test_metrics_are_those_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.random((4, 70)).astype(np.float32)
    known = rng.random((4, 70)) < 0.2
    wanted = (rng.random((4, 70)) < 0.4) & ~known
    wanted[:, 0], known[:, 0] = True, False
    asked = Questions(sparse.csr_array(known * 1.0), sparse.csr_array(wanted * 1.0), np.arange(4))
    found = asked.ask(lambda users: scores[users].copy())
    for k in CUTS:
        recalls, ndcgs = [], []
        for row in range(4):
            order = [i for i in np.argsort(-scores[row]) if not known[row, i]][:k]
            gains = [bool(wanted[row, i]) / math.log2(rank + 2) for rank, i in enumerate(order)]
            total = int(wanted[row].sum())
            recalls.append(wanted[row, order].sum() / total)
            ndcgs.append(sum(gains) / sum(1 / math.log2(r + 2) for r in range(min(k, total))))
        assert found.recall[k] == pytest.approx(np.mean(recalls))
        assert found.ndcg[k] == pytest.approx(np.mean(ndcgs))


def test_a_mix_is_the_weighted_sum_of_standardised_scores() -> None:
    one, two = np.array([[3.0, 1, 2, 0]], np.float32), np.array([[0.0, 100, 0, 0]], np.float32)
    wanted = sparse.csr_array(np.array([[0.0, 1, 0, 0]]))
    asked = Questions(sparse.csr_array((1, 4)), wanted, np.arange(1))
    parts = (lambda _: one.copy(), lambda _: two.copy())
    found = asked.ask_mixes(parts, {"one": (1.0, 0.0), "two": (0.0, 1.0), "both": (1.0, 1.0)})
    assert [found[name].recall[1] for name in ("one", "two", "both")] == [0, 1, 1]


def test_equal_scores_are_ordered_by_column() -> None:
    assert best(np.array([[1.0, 2, 2, 1]], np.float32), 3).tolist() == [[1, 2, 0]]


def test_the_last_part_of_each_list_is_held_back() -> None:
    lists = lists_of([[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [5, 6], [7], []])
    kept, held = lists.split(0.2)
    assert [kept.of(user).tolist() for user in range(4)] == [[*range(1, 9)], [5], [7], []]
    assert [held.of(user).tolist() for user in range(4)] == [[9, 10], [6], [], []]


def test_validation_asks_only_users_with_something_held_back() -> None:
    train = lists_of([[0, 1, 2], [1], [], [2, 0]])
    asked = questions(Pair(train, lists_of([[], [0], [1], []]), 3), users=10, seed=0)
    assert asked.users.tolist() == [0, 3]
    assert asked.known.sum() + asked.wanted.sum() == 6


def test_without_two_items_of_anybody_nothing_can_be_chosen() -> None:
    with pytest.raises(DataError, match="no user has two items"):
        questions(Pair(lists_of([[1], [0]]), lists_of([[0], [1]]), 2), users=10, seed=0)


def test_a_matrix_leaves_the_order_of_the_lists_alone() -> None:
    lists = lists_of([[3, 1, 2], [2, 0]])
    assert lists.matrix(4).toarray().tolist() == [[0, 1, 1, 1], [1, 0, 1, 0]]
    assert lists.of(0).tolist() == [3, 1, 2]


def test_items_are_renumbered_by_the_seed_and_an_item_counts_once(tmp_path: Path) -> None:
    (tmp_path / "train").write_text("0 3 1 3\n2 0\n\n")
    (tmp_path / "test").write_text("1\n0 2\n")
    pair = read_pair(tmp_path / "train", tmp_path / "test", seed=1)
    assert (pair.train.users, pair.test.users, pair.items) == (3, 3, 4)
    assert [len(pair.train.of(user)) for user in range(3)] == [2, 0, 1]
    everything = np.concatenate([pair.train.items, pair.test.items])
    assert sorted(everything.tolist()) == [0, 1, 2, 3]
    again = read_pair(tmp_path / "train", tmp_path / "test", seed=1)
    assert again.train.items.tolist() == pair.train.items.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [("0 1 x\n", r"line 1: 'x'; accepted: whole numbers"), ("0\n1\n", "no user has an item")],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "good").write_text("0 1\n")
    (tmp_path / "bad").write_text(text)
    with pytest.raises(DataError, match=message):
        read_pair(tmp_path / "good", tmp_path / "bad", seed=0)


def test_a_missing_file_is_an_error_and_no_traceback(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "nowhere.txt")
    assert main(["topn", "--train", missing, "--test", str(files[1])]) == 1
    assert "nowhere.txt" in capsys.readouterr().err


def test_a_protocol_that_there_is_not_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["tarot"])
    assert caught.value.code == 2
