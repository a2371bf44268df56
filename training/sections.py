"""The sections of `training.toml`: each a frozen dataclass that declares what it accepts.

What each key is for stands beside it in `training/training.toml`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from recommender.journey import LOOKBACK_DAYS
from recommender.terms import ADD_TO_CART, PURCHASE, SELECT_ITEM, VIEW_ITEM
from training.settings import choice, event_types, number, text, whole, wholes, words

SECONDS_PER_DAY: Final = 86_400
# Places of a list that acceptance may tell apart; what stands further down counts as the last.
MOST_PLACES: Final = 100

# Pairs of event types (earlier, later); the name is the candidate source's.
PAIR_EVENTS: Final[dict[str, tuple[str, str]]] = {
    "view_view": (VIEW_ITEM, VIEW_ITEM),
    "seen_together": (VIEW_ITEM, VIEW_ITEM),
    "view_cart": (VIEW_ITEM, ADD_TO_CART),
    "cart_purchase": (ADD_TO_CART, PURCHASE),
    "purchase_purchase": (PURCHASE, PURCHASE),
}
# What a source with vectors chooses from: the catalogue, or what the other sources propose.
AUTO: Final = "auto"
CATALOGUE: Final = "catalogue"
POOL: Final = "pool"
SOURCES: Final = (
    "als",
    "item_knn",
    "linear",
    *PAIR_EVENTS,
    "two_steps",
    "embedding",
    "encoder",
    "session_knn",
    "session_knn_near",
    "returns",
    "popularity",
    "popular_in_category",
    "trend",
    "new_items",
    "early_adopters",
    "content",
    "buy_again",
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
    frequency_exponent: float = number(0.0, 0, 1)
    alpha: float = number(1.0, 1e-6, 1e6)
    iterations: int = whole(15, 1, 1_000)
    reach: str = choice(AUTO, AUTO, CATALOGUE, POOL)
    seed: int = whole(42, 0, 2**31 - 1)


@dataclass(frozen=True, slots=True)
class ItemKnnSpec:
    """Item neighbours from who interacted with what."""

    neighbours: int = whole(100, 1, 10_000)
    weighting: str = choice("bm25", "bm25", "cosine")
    k1: float = number(1.2, 0.01, 1_000)
    b: float = number(0.75, 0, 1)


@dataclass(frozen=True, slots=True)
class LinearSpec:
    """Linear item-item model in closed form: a filter of the user-item graph."""

    neighbours: int = whole(100, 1, 10_000)
    max_items: int = whole(8_000, 1, 100_000)
    user_exponent: float = number(0.4, 0, 1)
    popularity_exponent: float = number(0.25, 0, 1)
    sharpness: float = number(0.5, 0, 1)


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
    lag_decay: float = number(0.8, 0.01, 1)
    direction: str = choice("forward", "forward", "both")


@dataclass(frozen=True, slots=True)
class CovisitationSpec:
    """Item pairs that occur close to each other, by event type."""

    pairs: tuple[str, ...] = words(tuple(PAIR_EVENTS), tuple(PAIR_EVENTS))
    neighbours: int = whole(100, 1, 10_000)
    max_basket: int = whole(200, 2, 10_000)
    view_view: PairSpec = PairSpec()
    seen_together: PairSpec = PairSpec(
        max_distance=30, position_decay=0.95, direction="both", popularity_damping=0.1
    )
    view_cart: PairSpec = PairSpec()
    cart_purchase: PairSpec = PairSpec(seed_events=(ADD_TO_CART,))
    purchase_purchase: PairSpec = PairSpec(
        scope="shopper",
        lag_decay=1.0,
        max_distance=1,
        half_life_days=30.0,
        seed_events=(VIEW_ITEM, ADD_TO_CART, PURCHASE),
    )

    def pair(self, name: str) -> PairSpec:
        """Settings of one pair."""
        found: PairSpec = getattr(self, name)
        return found


@dataclass(frozen=True, slots=True)
class TrendSpec:
    """What counts as rising."""

    short_half_life_days: float = number(7, 0.01, 36_500)
    long_half_life_days: float = number(30, 0.01, 36_500)
    sigmas: float = number(1, 0, 10)
    items: int = whole(1_000, 1, 1_000_000)
    everybody: float = number(0.2, 0.001, 1_000)


@dataclass(frozen=True, slots=True)
class NewItemsSpec:
    """What counts as new, and how soon it is judged by its own success."""

    days: float = number(60, 0.01, 3_650)
    max_share: float = number(0.3, 0.001, 1)
    prior_days: float = number(14, 0.001, 3_650)
    items: int = whole(1_000, 1, 1_000_000)
    everybody: float = number(0.2, 0.001, 1_000)


@dataclass(frozen=True, slots=True)
class EarlyAdoptersSpec:
    """Whose picks are listened to."""

    events: tuple[str, ...] = event_types(ADD_TO_CART, PURCHASE)
    window_days: float = number(28, 0.01, 3_650)
    min_adoptions: int = whole(5, 1, 1_000_000)
    prior: float = number(5, 0.001, 1e6)
    share: float = number(0.2, 0.001, 1)
    half_life_days: float = number(7, 0.01, 36_500)
    sigmas: float = number(0, 0, 10)
    items: int = whole(1_000, 1, 1_000_000)
    everybody: float = number(0.2, 0.001, 1_000)


@dataclass(frozen=True, slots=True)
class ContentSpec:
    """Neighbours by text, category, brand and price."""

    neighbours: int = whole(50, 1, 10_000)
    text: float = number(1, 0, 1e6)
    category: float = number(0.5, 0, 1e6)
    brand: float = number(0.3, 0, 1e6)
    price: float = number(0.1, 0, 1e6)
    max_share: float = number(0.1, 0.001, 1)
    max_items: int = whole(2_000, 1, 10_000_000)
    cold_boost: float = number(0.25, 0, 100)
    cold_support: float = number(5, 0.001, 1e6)


@dataclass(frozen=True, slots=True)
class BuyAgainSpec:
    """When a shopper is due for what they bought before."""

    horizon_days: float = number(28, 0.01, 3_650)
    prior: float = number(20, 0.001, 1e6)
    own_prior: float = number(2, 0.001, 1e6)
    least: float = number(0.002, 0, 1)
    min_repeats: int = whole(20, 1, 1_000_000)
    demand_half_life_days: float = number(28, 0.01, 3_650)
    due: float = number(0.2, 0, 1)
    durable: float = number(0.05, 0, 1)
    rest_days: float = number(180, 0, 3_650)


@dataclass(frozen=True, slots=True)
class PairsSpec:
    """Which items are bought together, and which are only compared."""

    prior: float = number(20, 0.001, 1e6)
    neighbours: int = whole(50, 1, 1_000)
    categories: int = whole(16, 1, 1_000)
    max_items: int = whole(50, 2, 1_000)
    min_pairs: int = whole(20, 1, 1_000_000)


@dataclass(frozen=True, slots=True)
class NavigationSpec:
    """Where to go next, and what that is worth."""

    decay: float = number(0.85, 0.01, 1)
    prior: float = number(50, 0.001, 1e6)
    categories: int = whole(8, 1, 100)
    terms: int = whole(8, 1, 100)
    ranks: int = whole(10, 1, 100)
    min_visitors: int = whole(5, 5, 1_000_000)
    max_terms: int = whole(1_000, 0, 1_000_000)
    min_purchases: int = whole(50, 1, 1_000_000)


@dataclass(frozen=True, slots=True)
class TwoStepsSpec:
    """Items two co-visits away."""

    neighbours: int = whole(100, 1, 10_000)
    reach: int = whole(60, 1, 10_000)
    smoothing: float = number(2, 0, 1e6)
    lag_decay: float = number(0.8, 0.01, 1)


@dataclass(frozen=True, slots=True)
class EmbeddingSpec:
    """Item vectors from who stands beside whom in visits."""

    factors: int = whole(128, 1, 1_024)
    neighbours: int = whole(100, 1, 10_000)
    max_distance: int = whole(8, 1, 100)
    position_decay: float = number(0.8, 0.01, 1)
    shift: float = number(1, -10, 10)
    lag_decay: float = number(0.8, 0.01, 1)
    seed: int = whole(42, 0, 2**31 - 1)


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Vectors in which the latest steps of a way lie near what comes next."""

    factors: int = whole(128, 1, 1_024)
    depth: int = whole(30, 1, 200)
    epochs: int = whole(4, 1, 1_000)
    min_steps: int = whole(300, 1, 1_000_000)
    max_steps: int = whole(8_000, 1, 1_000_000_000)
    batch: int = whole(512, 1, 100_000)
    learning_rate: float = number(0.003, 1e-6, 1)
    temperature: float = number(0.08, 0.001, 10)
    dropout: float = number(0.2, 0, 0.9)
    step_dropout: float = number(0.2, 0, 0.9)
    negatives: int = whole(2_048, 1, 1_000_000)
    smoothing: float = number(0.5, 0, 1)
    reach: str = choice(AUTO, AUTO, CATALOGUE, POOL)
    max_questions: int = whole(2_000_000, 1, 100_000_000)
    min_questions: int = whole(500, 1, 100_000_000)
    seed: int = whole(42, 0, 2**31 - 1)


@dataclass(frozen=True, slots=True)
class SessionKnnSpec:
    """Past visits that resemble the running one; see `recommender.candidates.session_knn`."""

    max_sessions: int = whole(300_000, 1, 100_000_000)
    k: int = whole(1_500, 1, 1_000_000)
    sample: int = whole(5_000, 1, 1_000_000)
    seed_reach: float = number(2.0, 0.01, 1e6)
    item_reach: float = number(10.0, 0.01, 1e6)
    backward: float = number(0.8, 0.001, 1)
    near_k: int = whole(500, 1, 1_000_000)
    near_seed_reach: float = number(1.2, 0.01, 1e6)
    near_item_reach: float = number(2.0, 0.01, 1e6)
    near_backward: float = number(0.6, 0.001, 1)


@dataclass(frozen=True, slots=True)
class RankerSpec:
    """What orders the candidates, and how it is learnt."""

    learn: bool = True
    candidates: int = whole(200, 2, 10_000)
    cuts: int = whole(2, 1, 12)
    more_cuts: int = whole(4, 0, 12)
    max_questions: int = whole(10_000, 10, 10_000_000)
    min_questions: int = whole(100, 2, 10_000_000)
    objective: str = choice("lambdarank", "lambdarank", "rank_xendcg")
    rounds: int = whole(300, 1, 10_000)
    patience: int = whole(30, 1, 10_000)
    bags: int = whole(1, 1, 100)
    learning_rate: float = number(0.05, 1e-4, 1)
    leaves: int = whole(63, 2, 1_024)
    leaf_questions: int = whole(100, 1, 1_000_000)
    min_leaf: int = whole(100, 1, 1_000_000)
    feature_share: float = number(0.4, 0.01, 1)
    truncation: int = whole(40, 1, 1_000)
    check_share: float = number(0.15, 0.01, 0.5)
    visit_decay: float = number(0.5, 0, 1)
    purchase_decay: float = number(0.85, 0.01, 1)
    met_worth: float = number(0, 0, 1)
    seed: int = whole(42, 0, 2**31 - 1)


@dataclass(frozen=True, slots=True)
class ImpressionDiscountSpec:
    """How much less a suggestion is worth after it was ignored."""

    min_clicks: int = whole(200, 1, 10_000_000)
    prior: float = number(20.0, 0.01, 1_000_000)
    rounds: int = whole(40, 1, 10_000)


@dataclass(frozen=True, slots=True)
class AcceptanceSpec:
    """How likely an item is taken up where it stands, and how far off that may be."""

    min_clicks: int = whole(100, 1, 10_000_000)
    prior: float = number(20.0, 0.01, 1_000_000)
    places: int = whole(20, 1, MOST_PLACES)
    placements: int = whole(50, 1, 1_000)
    tolerance: float = number(0.2, 0, 10)


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
        ("linear", 0.2),
        ("view_view", 0.1),
        ("seen_together", 0.1),
        ("view_cart", 0.05),
        ("cart_purchase", 0.05),
        ("purchase_purchase", 0.15),
        ("two_steps", 0.2),
        ("embedding", 0.1),
        ("encoder", 0.3),
        ("session_knn", 0.2),
        ("session_knn_near", 0.2),
        ("returns", 1.0),
        ("popularity", 0.1),
        ("popular_in_category", 0.1),
        ("trend", 0.05),
        ("new_items", 0.05),
        ("early_adopters", 0.05),
        ("content", 0.05),
        ("buy_again", 0.3),
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
class JourneySpec:
    """How far back a journey to a purchase goes, and how many the report replays how deep."""

    lookback_days: float = number(LOOKBACK_DAYS, 0.001, 365)
    k: int = whole(10, 1, 100)
    max_journeys: int = whole(1_000, 1, 1_000_000)
    max_steps: int = whole(50, 1, 10_000)
    horizon: int = whole(20, 1, 10_000)


@dataclass(frozen=True, slots=True)
class GateSpec:
    """What a new model must reach before it serves."""

    min_users: int = whole(50, 0, 10_000_000)
    min_ndcg: float = number(0.0, 0, 1)
    min_coverage: float = number(0.01, 0, 1)
    max_ndcg_loss: float = number(0.05, 0, 1)
    must_beat_popularity: bool = True
    max_rare_loss: float = number(0.3, 0, 1)
    max_gini_gain: float = number(0.15, 0, 1)
    min_distinct_lists: float = number(0.05, 0, 1)
    max_flat_lists: float = number(0.5, 0, 1)
    min_overlap: float = number(0.05, 0, 1)
    max_overlap: float = number(1.0, 0, 1)
    max_bundle_mb: float = number(4_000, 0.001, 1e6)
    max_latency_ms: float = number(100, 0.001, 1e6)
