"""What to train and how: `training.toml` as one frozen, checked, hashed object.

Every section is a frozen dataclass; a key that a section does not have is an error, so a typo
never trains a default in silence. `training/training.toml` is the commented sample and equals the
defaults. No engine is named here: the same spec gives the same model on each.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Final

import numpy as np

from recommender.errors import ConfigError
from recommender.terms import (
    ADD_TO_CART,
    ADD_TO_WISHLIST,
    EVENT_TYPES,
    PURCHASE,
    SELECT_ITEM,
    VIEW_ITEM,
    Float64Array,
)
from training.settings import (
    build,
    choice,
    event_types,
    number,
    refuse_unknown,
    text,
    weights,
    whole,
    wholes,
    words,
)

SECONDS_PER_DAY: Final = 86_400

# Pairs of event types (earlier, later); the name is the candidate source's.
PAIR_EVENTS: Final[dict[str, tuple[str, str]]] = {
    "view_view": (VIEW_ITEM, VIEW_ITEM),
    "view_cart": (VIEW_ITEM, ADD_TO_CART),
    "cart_purchase": (ADD_TO_CART, PURCHASE),
    "purchase_purchase": (PURCHASE, PURCHASE),
}
SOURCES: Final = (
    "als",
    "item_knn",
    *PAIR_EVENTS,
    "returns",
    "popularity",
    "popular_in_category",
)


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """Part of the log that is learnt from: the last `days` days, 0 for all of it."""

    days: float = number(0, 0, 36_500)


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """Where validation and test begin, whom to ask when, and what counts as right."""

    validation_days: float = number(28, 0.001, 3_650)
    test_days: float = number(28, 0.001, 3_650)
    max_share: float = number(0.15, 0.001, 0.4)
    target_events: tuple[str, ...] = event_types(VIEW_ITEM, ADD_TO_CART, PURCHASE)
    asked: str = choice("at_cut", "at_cut", "in_visit")


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """When a visit ends, and how much of an endless one is read."""

    gap_minutes: float = number(30, 1, 1_440)
    max_steps: int = whole(200, 2, 10_000)


@dataclass(frozen=True, slots=True)
class SeedSpec:
    """How a shopper's own past is weighed, in training and at the moment of answering."""

    half_life_days: float = number(90, 0.01, 36_500)
    max_history: int = whole(200, 1, 10_000)


@dataclass(frozen=True, slots=True)
class PopularitySpec:
    """How fast popularity forgets."""

    half_life_days: float = number(14, 0.01, 36_500)


@dataclass(frozen=True, slots=True)
class AlsSpec:
    """Factorisation; the names are those of `implicit`."""

    factors: int = whole(64, 1, 1_024)
    regularization: float = number(0.05, 1e-6, 1e6)
    alpha: float = number(1.0, 1e-6, 1e6)
    iterations: int = whole(15, 1, 1_000)
    seed: int = whole(42, 0, 2**31 - 1)


@dataclass(frozen=True, slots=True)
class ItemKnnSpec:
    """Item neighbours from who interacted with what."""

    neighbours: int = whole(100, 1, 10_000)
    weighting: str = choice("bm25", "bm25", "cosine")
    k1: float = number(1.2, 0.01, 1_000)
    b: float = number(0.75, 0, 1)


@dataclass(frozen=True, slots=True)
class PairSpec:
    """How far and how long one event reaches the next."""

    scope: str = choice("session", "session", "shopper")
    max_distance: int = whole(10, 0, 100)
    position_decay: float = number(0.8, 0.01, 1)
    half_life_days: float = number(1, 0.001, 36_500)
    popularity_damping: float = number(0.3, 0, 1)
    smoothing: float = number(5, 0, 1e6)
    seed_events: tuple[str, ...] = event_types(SELECT_ITEM, VIEW_ITEM)


@dataclass(frozen=True, slots=True)
class CovisitationSpec:
    """Item pairs that occur close to each other, by event type."""

    pairs: tuple[str, ...] = words(tuple(PAIR_EVENTS), tuple(PAIR_EVENTS))
    neighbours: int = whole(100, 1, 10_000)
    max_basket: int = whole(200, 2, 10_000)
    view_view: PairSpec = PairSpec()
    view_cart: PairSpec = PairSpec()
    cart_purchase: PairSpec = PairSpec(seed_events=(ADD_TO_CART,))
    purchase_purchase: PairSpec = PairSpec(
        scope="shopper",
        max_distance=1,
        half_life_days=30.0,
        seed_events=(VIEW_ITEM, ADD_TO_CART, PURCHASE),
    )

    def pair(self, name: str) -> PairSpec:
        """Settings of one pair."""
        found: PairSpec = getattr(self, name)
        return found


@dataclass(frozen=True, slots=True)
class BlendSpec:
    """How the sources are weighed against each other."""

    learn: bool = True
    restarts: int = whole(4, 1, 100)
    min_users: int = whole(50, 1, 1_000_000)
    max_users: int = whole(2_000, 10, 1_000_000)
    seed: int = whole(42, 0, 2**31 - 1)
    weights: tuple[tuple[str, float], ...] = (
        ("als", 0.3),
        ("item_knn", 0.1),
        ("view_view", 0.1),
        ("view_cart", 0.05),
        ("cart_purchase", 0.05),
        ("purchase_purchase", 0.15),
        ("returns", 1.0),
        ("popularity", 0.1),
        ("popular_in_category", 0.1),
    )


@dataclass(frozen=True, slots=True)
class EvaluationSpec:
    """How hold-out shoppers are asked and how sure the answer has to be."""

    k: tuple[int, ...] = wholes((5, 10, 20), 1, 100)
    bootstrap_rounds: int = whole(1_000, 10, 100_000)
    confidence: float = number(0.95, 0.5, 0.999)
    max_users: int = whole(5_000, 1, 10_000_000)
    max_categories: int = whole(8, 1, 100)
    seed: int = whole(42, 0, 2**31 - 1)
    placement: str = text("next")


@dataclass(frozen=True, slots=True)
class GateSpec:
    """What a new model must reach before it serves."""

    min_users: int = whole(50, 0, 10_000_000)
    min_ndcg: float = number(0.0, 0, 1)
    min_coverage: float = number(0.01, 0, 1)
    max_ndcg_loss: float = number(0.05, 0, 1)
    must_beat_popularity: bool = True
    min_distinct_lists: float = number(0.05, 0, 1)
    max_flat_lists: float = number(0.5, 0, 1)
    min_overlap: float = number(0.05, 0, 1)
    max_overlap: float = number(1.0, 0, 1)
    max_bundle_mb: float = number(4_000, 0.001, 1e6)
    max_latency_ms: float = number(100, 0.001, 1e6)


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """The whole of `training.toml`."""

    window: WindowSpec = WindowSpec()
    split: SplitSpec = SplitSpec()
    event_weights: tuple[tuple[str, float], ...] = (
        (SELECT_ITEM, 0.5),
        (VIEW_ITEM, 1.0),
        (ADD_TO_WISHLIST, 2.0),
        (ADD_TO_CART, 3.0),
        (PURCHASE, 5.0),
    )
    session: SessionSpec = SessionSpec()
    seeds: SeedSpec = SeedSpec()
    popularity: PopularitySpec = PopularitySpec()
    als: AlsSpec = AlsSpec()
    item_knn: ItemKnnSpec = ItemKnnSpec()
    covisitation: CovisitationSpec = field(default_factory=CovisitationSpec)
    blend: BlendSpec = BlendSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    gate: GateSpec = GateSpec()

    @property
    def weight_by_code(self) -> Float64Array:
        """Weight of each event code, float64 (event types,); 0 for types that do not count."""
        named = dict(self.event_weights)
        return np.array([named.get(event_type, 0.0) for event_type in EVENT_TYPES])

    @property
    def resolved(self) -> dict[str, object]:
        """Every setting with its value, as plain JSON types; weights as tables."""
        plain = asdict(self)
        plain["event_weights"] = dict(self.event_weights)
        plain["blend"]["weights"] = dict(self.blend.weights)
        found: dict[str, object] = json.loads(json.dumps(plain))
        return found

    @property
    def digest(self) -> str:
        """sha256 over the canonical JSON of `resolved`, 64 hex digits."""
        canonical = json.dumps(self.resolved, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def parse_spec(table: Mapping[str, object]) -> TrainingSpec:
    """Training specification from a parsed TOML file; what is not named keeps its default.

    Raises
    ------
    ConfigError
        A section or key is unknown, or a value is not acceptable.
    """
    sections = {each.name: each for each in fields(TrainingSpec)}
    refuse_unknown(table, list(sections), "training")
    return TrainingSpec(**{name: _section(name, _table(table, name)) for name in table})  # type: ignore[arg-type]


def load_spec(path: Path) -> TrainingSpec:
    """Read a training file. Raises `ConfigError`."""
    try:
        return parse_spec(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; a readable training file is needed"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def _section(name: str, table: Mapping[str, object]) -> object:
    if name == "event_weights":
        return _event_weights(table)
    if name == "covisitation":
        return _covisitation(table)
    if name == "blend":
        return _blend(table)
    return build(type(getattr(TrainingSpec(), name)), table, name)


def _event_weights(table: Mapping[str, object]) -> tuple[tuple[str, float], ...]:
    found = weights(table, EVENT_TYPES, "event_weights")
    if not any(weight > 0 for _, weight in found):
        raise ConfigError("event_weights: at least one event type needs a weight above 0")
    return found


def _covisitation(table: Mapping[str, object]) -> CovisitationSpec:
    plain = {name: value for name, value in table.items() if name not in PAIR_EVENTS}
    pairs = {name: _pair(name, _table(table, name)) for name in table if name in PAIR_EVENTS}
    whole_section = build(CovisitationSpec, plain, "covisitation")
    given = {each.name: getattr(whole_section, each.name) for each in fields(CovisitationSpec)}
    return CovisitationSpec(**(given | pairs))


def _pair(name: str, table: Mapping[str, object]) -> PairSpec:
    default = asdict(CovisitationSpec().pair(name))
    return build(PairSpec, default | dict(table), f"covisitation.{name}")


def _blend(table: Mapping[str, object]) -> BlendSpec:
    plain = {name: value for name, value in table.items() if name != "weights"}
    section = build(BlendSpec, plain, "blend")
    if "weights" not in table:
        return section
    given = {each.name: getattr(section, each.name) for each in fields(BlendSpec)}
    return BlendSpec(**(given | {"weights": _blend_weights(_table(table, "weights"))}))


def _blend_weights(table: Mapping[str, object]) -> tuple[tuple[str, float], ...]:
    found = weights(table, SOURCES, "blend.weights")
    if not any(weight > 0 for _, weight in found):
        raise ConfigError("blend.weights: at least one source needs a weight above 0")
    return found


def _table(table: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = table[name]
    if not isinstance(value, dict):
        raise ConfigError(f"{name}={value!r}; accepted: a table")
    return value
