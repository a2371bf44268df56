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
from training.experiment_spec import ExperimentSpec, VerdictSpec
from training.sections import (
    PAIR_EVENTS,
    SOURCES,
    AcceptanceSpec,
    AlsSpec,
    BlendSpec,
    BuyAgainSpec,
    ContentSpec,
    CovisitationSpec,
    EarlyAdoptersSpec,
    EmbeddingSpec,
    EncoderSpec,
    EvaluationSpec,
    GateSpec,
    ImpressionDiscountSpec,
    ItemKnnSpec,
    JourneySpec,
    LinearSpec,
    NavigationSpec,
    NewItemsSpec,
    PairSpec,
    PairsSpec,
    PopularitySpec,
    RankerSpec,
    SeedSpec,
    SessionKnnSpec,
    SessionSpec,
    SplitSpec,
    TrendSpec,
    TwoStepsSpec,
    WindowSpec,
)
from training.settings import build, refuse_unknown, weights


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """The whole of `training.toml`."""

    window: WindowSpec = field(default_factory=WindowSpec)
    split: SplitSpec = field(default_factory=SplitSpec)
    event_weights: tuple[tuple[str, float], ...] = (
        (SELECT_ITEM, 0.5),
        (VIEW_ITEM, 1.0),
        (ADD_TO_WISHLIST, 2.0),
        (ADD_TO_CART, 3.0),
        (PURCHASE, 5.0),
    )
    session: SessionSpec = field(default_factory=SessionSpec)
    seeds: SeedSpec = field(default_factory=SeedSpec)
    popularity: PopularitySpec = field(default_factory=PopularitySpec)
    als: AlsSpec = field(default_factory=AlsSpec)
    item_knn: ItemKnnSpec = field(default_factory=ItemKnnSpec)
    linear: LinearSpec = field(default_factory=LinearSpec)
    covisitation: CovisitationSpec = field(default_factory=CovisitationSpec)
    two_steps: TwoStepsSpec = field(default_factory=TwoStepsSpec)
    embedding: EmbeddingSpec = field(default_factory=EmbeddingSpec)
    encoder: EncoderSpec = field(default_factory=EncoderSpec)
    session_knn: SessionKnnSpec = field(default_factory=SessionKnnSpec)
    trend: TrendSpec = field(default_factory=TrendSpec)
    new_items: NewItemsSpec = field(default_factory=NewItemsSpec)
    early_adopters: EarlyAdoptersSpec = field(default_factory=EarlyAdoptersSpec)
    content: ContentSpec = field(default_factory=ContentSpec)
    buy_again: BuyAgainSpec = field(default_factory=BuyAgainSpec)
    impression_discount: ImpressionDiscountSpec = field(default_factory=ImpressionDiscountSpec)
    acceptance: AcceptanceSpec = field(default_factory=AcceptanceSpec)
    pairs: PairsSpec = field(default_factory=PairsSpec)
    navigation: NavigationSpec = field(default_factory=NavigationSpec)
    blend: BlendSpec = field(default_factory=BlendSpec)
    ranker: RankerSpec = field(default_factory=RankerSpec)
    evaluation: EvaluationSpec = field(default_factory=EvaluationSpec)
    journeys: JourneySpec = field(default_factory=JourneySpec)
    gate: GateSpec = field(default_factory=GateSpec)
    experiment: ExperimentSpec = field(default_factory=ExperimentSpec)
    verdict: VerdictSpec = field(default_factory=VerdictSpec)

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
