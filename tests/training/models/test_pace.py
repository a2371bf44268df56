from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from feature_store.events import EventItem, InteractionEvent
from feature_store.online.facts import apply_event
from feature_store.online.known import known_of
from feature_store.online.state import VisitorState
from recommender.errors import ConfigError
from recommender.pace import COMPARED, FEATURES, KNOTS, Quantiles
from recommender.terms import EVENT_CODES, MODES
from recommender.visit_signs import Signs
from training.dataset import moment
from training.models.pace import LEAST_VISITS, pace_arrays
from training.models.pace_visits import VisitRows, past_visits
from training.pace_file import DEFAULT_FILE, read_pace_file

SECOND, MINUTE = 1_000_000, 60_000_000
GAP = 30 * MINUTE
START = 1_767_225_600 * SECOND
CATEGORY = np.array([0, 0, 1, 2, -1], np.int32)
# (seconds, event type, item or none)
DAY_ONE = [(0, "view_item", 0), (40, "view_item", 3)]
DAY_TWO = [
    (90_000, "search", None),
    (90_000.4, "view_item_list", 2),
    (90_012, "view_item", 2),
    (90_050, "view_item", 0),
    (90_090, "view_item", 0),
    (90_091.5, "add_to_cart", 0),
    (90_120, "view_cart", None),
    (90_200, "view_item_list", 1),
    (90_230, "view_item_list", 1),
    (90_260, "view_item", 4),
]


def rows_of(done: list[tuple[float, str, int | None]]) -> VisitRows:
    return VisitRows.of_frame(
        pl.DataFrame(
            {
                "shopper_idx": [0] * len(done),
                "item_idx": [-1 if item is None else item for _, _, item in done],
                "event_code": [EVENT_CODES[event_type] for _, event_type, _ in done],
                "ts": [START + round(seconds * SECOND) for seconds, _, _ in done],
            },
            schema={
                "shopper_idx": pl.Int32,
                "item_idx": pl.Int32,
                "event_code": pl.Int32,
                "ts": pl.Int64,
            },
        )
    )


def test_training_and_serving_see_the_same_in_the_same_session() -> None:
    """The rows of a table and the events one by one give equal features at every step."""
    visits = past_visits(rows_of(DAY_ONE + DAY_TWO), CATEGORY, GAP, 10, np.random.default_rng(0))
    assert len(visits.visits) == 1
    quantiles = Quantiles(visits.quantiles())
    offline = [(s.steps, quantiles.features(s)) for _, s in visits.steps()]

    online, state = {}, VisitorState()
    for number, (seconds, event_type, item) in enumerate(DAY_ONE + DAY_TWO):
        ts = START + round(seconds * SECOND)
        items = () if item is None else (EventItem(str(item)),)
        state = apply_event(state, InteractionEvent(f"e{number}", event_type, ts, "v", items=items))
        visit = known_of(state, moment(ts), timedelta(minutes=30)).visit
        signs = Signs(visit, lambda item_id: int(CATEGORY[int(item_id)]))
        for event in visit.events:
            signs.feed(event)
        if seconds >= 90_000 and signs.steps >= 3:
            online[signs.steps] = quantiles.features(signs)
    assert offline == list(online.items())
    assert len(offline) == 7


def test_a_visit_is_fed_no_further_than_the_store_remembers() -> None:
    done = [(n * 10.0, "view_item", n % 4) for n in range(70)]
    visits = past_visits(rows_of(done), CATEGORY, GAP, 10, np.random.default_rng(0))
    assert len(visits.visits[0].events) == 50


def test_what_was_met_before_is_what_the_store_remembers() -> None:
    long_ago = [(n * 10.0, "view_item", 0 if n < 10 else 1) for n in range(60)]
    later = [(90_000 + n * 10.0, "view_item", 2) for n in range(3)]
    visits = past_visits(rows_of(long_ago + later), CATEGORY, GAP, 10, np.random.default_rng(0))
    assert visits.visits[1].met_before == {"1"}


def test_a_sample_is_seeded_and_bounded() -> None:
    done = [(n * 10_000 + step * 9.0, "view_item", step) for n in range(30) for step in range(4)]
    one, other = (
        past_visits(rows_of(done), CATEGORY, GAP, 5, np.random.default_rng(3)) for _ in range(2)
    )
    assert one.visits == other.visits
    assert len(one.visits) == 5


def test_quantiles_never_fall_and_a_shop_of_few_visits_has_none() -> None:
    done = [(n * 10_000 + step * 9.0, "view_item", step) for n in range(60) for step in range(4)]
    network = read_pace_file().network()
    visits = past_visits(rows_of(done), CATEGORY, GAP, 1_000, np.random.default_rng(0))
    quantiles = visits.quantiles()
    assert quantiles.shape == (len(COMPARED), KNOTS)
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert pace_arrays(visits, network).keys() > {"pace_quantiles", "pace_hidden"}
    few = past_visits(rows_of(done), CATEGORY, GAP, LEAST_VISITS - 1, np.random.default_rng(0))
    assert pace_arrays(few, network) == {}


def test_an_empty_log_has_no_visits() -> None:
    visits = past_visits(rows_of([]), CATEGORY, GAP, 5, np.random.default_rng(0))
    assert pace_arrays(visits, read_pace_file().network()) == {}


def test_the_file_that_ships_belongs_to_this_version() -> None:
    file = read_pace_file()
    assert (file.features, file.modes) == (FEATURES, MODES)
    network = file.network()
    chances = network.probabilities([0.5] * len(FEATURES))
    assert abs(sum(chances) - 1) < 1e-6


@pytest.mark.parametrize("text", ["", "{}", '{"features": []}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pace.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"pace\.json"):
        read_pace_file(path)


def test_a_file_of_other_features_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pace.json"
    path.write_text(DEFAULT_FILE.read_text().replace('"gap_mean"', '"gap_meen"'))
    with pytest.raises(ConfigError, match="learn_pace"):
        read_pace_file(path)
