"""What `desirepath tune` may change: one line per setting of `training.toml`.

Values are rungs and not ranges: the same fit comes up again and is shared, and the file that is
written has numbers that a person would write. What says whom to ask and what is right (`split`,
`evaluation`, `session`, `window`) is not here: trials would no longer answer the same questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from training.spec import TrainingSpec, parse_spec

Value: TypeAlias = float | int | str | bool


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting.

    Parameters
    ----------
    key
        Dotted place in `training.toml`.
    values
        What is tried, beside the value that the search starts from.
    is_ordered
        Whether neighbours in `values` are alike.
    member
        Not the setting itself but whether it, a list, has this member.
    """

    key: str
    values: tuple[Value, ...]
    is_ordered: bool = True
    member: str | None = None

    @property
    def name(self) -> str:
        """Name of the parameter in the study."""
        return self.key if self.member is None else f"{self.key}.{self.member}"

    def choices(self, start: Value) -> tuple[Value, ...]:
        """What is tried, the starting value among it; in rising order if that means something."""
        both = {*self.values, start}
        return tuple(sorted(both)) if self.is_ordered else tuple(sorted(both, key=str))

    def of(self, table: Mapping[str, Any]) -> Value:
        """The value in a resolved specification."""
        found: Any = _table(table, self.key)[self.key.rpartition(".")[2]]
        return found if self.member is None else self.member in found

    def put(self, table: dict[str, Any], value: Value) -> None:
        """Write a value into a resolved specification."""
        holder, last = _table(table, self.key), self.key.rpartition(".")[2]
        if self.member is None:
            holder[last] = value
        else:
            had = self.member in holder[last]
            if value and not had:
                holder[last] = [*holder[last], self.member]
            elif had and not value:
                holder[last] = [name for name in holder[last] if name != self.member]


def ladder(key: str, *values: float) -> Knob:
    """A number."""
    return Knob(key, values)


def words(key: str, *values: str) -> Knob:
    """One of several words."""
    return Knob(key, values, is_ordered=False)


def switch(key: str, member: str) -> Knob:
    """Whether a list has a member."""
    return Knob(key, (False, True), is_ordered=False, member=member)


SPACE: Final[tuple[Knob, ...]] = (
    ladder("event_weights.add_to_cart", 1.0, 2.0, 3.0, 5.0, 10.0),
    ladder("event_weights.purchase", 1.0, 2.0, 5.0, 10.0, 20.0),
    ladder("seeds.half_life_days", 1.0, 7.0, 30.0, 90.0, 365.0),
    ladder("popularity.half_life_days", 1.0, 3.0, 7.0, 14.0, 30.0, 90.0),
    ladder("als.factors", 32, 64, 128, 256),
    ladder("als.regularization", 0.001, 0.01, 0.05, 0.2, 1.0, 5.0, 20.0),
    ladder("als.alpha", 0.1, 0.3, 1.0, 3.0, 10.0, 40.0),
    ladder("als.iterations", 8, 15, 30),
    ladder("als.frequency_exponent", 0.0, 0.25, 0.5, 1.0),
    ladder("linear.user_exponent", 0.0, 0.2, 0.4, 0.6),
    ladder("linear.popularity_exponent", 0.0, 0.25, 0.5),
    ladder("linear.sharpness", 0.25, 0.5, 0.75, 1.0),
    ladder("linear.neighbours", 50, 100, 200),
    words("item_knn.weighting", "bm25", "cosine"),
    ladder("item_knn.k1", 0.3, 0.6, 1.2, 2.4, 5.0),
    ladder("item_knn.b", 0.0, 0.25, 0.5, 0.75, 1.0),
    ladder("item_knn.neighbours", 50, 100, 200),
    ladder("covisitation.neighbours", 50, 100, 200),
    switch("covisitation.pairs", "view_view"),
    switch("covisitation.pairs", "view_cart"),
    switch("covisitation.pairs", "cart_purchase"),
    switch("covisitation.pairs", "purchase_purchase"),
    switch("covisitation.pairs", "seen_together"),
    ladder("covisitation.seen_together.position_decay", 0.8, 0.9, 0.95, 1.0),
    ladder("covisitation.seen_together.popularity_damping", 0.0, 0.1, 0.2, 0.4),
    ladder("covisitation.view_view.lag_decay", 0.5, 0.65, 0.8, 0.9, 1.0),
    ladder("covisitation.view_view.max_distance", 1, 3, 5, 10, 20),
    ladder("covisitation.view_view.position_decay", 0.3, 0.5, 0.65, 0.8, 0.9),
    ladder("covisitation.view_view.half_life_days", 0.1, 1.0, 7.0, 30.0),
    ladder("covisitation.view_view.popularity_damping", 0.0, 0.15, 0.3, 0.5, 0.7),
    ladder("covisitation.view_view.smoothing", 0.0, 2.0, 5.0, 20.0),
    words("covisitation.view_view.scope", "session", "shopper"),
    ladder("covisitation.view_cart.position_decay", 0.3, 0.5, 0.65, 0.8, 0.9),
    ladder("covisitation.view_cart.popularity_damping", 0.0, 0.15, 0.3, 0.5, 0.7),
    words("covisitation.view_cart.scope", "session", "shopper"),
    ladder("covisitation.cart_purchase.popularity_damping", 0.0, 0.15, 0.3, 0.5, 0.7),
    words("covisitation.cart_purchase.scope", "session", "shopper"),
    ladder("covisitation.purchase_purchase.max_distance", 0, 1, 2, 4),
    ladder("covisitation.purchase_purchase.half_life_days", 7.0, 30.0, 90.0, 365.0),
    ladder("covisitation.purchase_purchase.popularity_damping", 0.0, 0.15, 0.3, 0.5, 0.7),
    ladder("covisitation.purchase_purchase.smoothing", 0.0, 2.0, 5.0, 20.0),
    ladder("covisitation.seen_together.lag_decay", 0.5, 0.65, 0.8, 0.9, 1.0),
    ladder("covisitation.view_cart.lag_decay", 0.5, 0.65, 0.8, 0.9, 1.0),
    ladder("covisitation.cart_purchase.lag_decay", 0.5, 0.65, 0.8, 0.9, 1.0),
    ladder("covisitation.purchase_purchase.lag_decay", 0.5, 0.65, 0.8, 0.9, 1.0),
    ladder("two_steps.reach", 20, 40, 60, 100),
    ladder("two_steps.smoothing", 0.0, 2.0, 5.0, 20.0),
    ladder("two_steps.lag_decay", 0.5, 0.65, 0.8, 0.9, 1.0),
    ladder("embedding.shift", 0.0, 1.0, 2.0),
    ladder("embedding.lag_decay", 0.5, 0.65, 0.8, 0.9, 1.0),
    ladder("encoder.epochs", 2, 4, 6, 10),
    ladder("encoder.temperature", 0.05, 0.08, 0.1, 0.15),
    ladder("encoder.dropout", 0.0, 0.1, 0.2, 0.35),
    ladder("encoder.step_dropout", 0.0, 0.1, 0.2, 0.35),
    ladder("session_knn.k", 250, 500, 1_000, 1_500, 3_000),
    ladder("session_knn.sample", 1_000, 2_500, 5_000, 10_000),
    ladder("session_knn.seed_reach", 1.0, 2.0, 4.0, 8.0),
    ladder("session_knn.item_reach", 2.0, 5.0, 10.0, 20.0),
    ladder("session_knn.backward", 0.4, 0.6, 0.8, 1.0),
    ladder("session_knn.near_k", 100, 250, 500, 1_000),
    ladder("session_knn.near_seed_reach", 0.6, 1.2, 2.0, 4.0),
    ladder("session_knn.near_item_reach", 1.0, 2.0, 4.0),
    ladder("session_knn.near_backward", 0.3, 0.6, 0.8, 1.0),
    ladder("trend.short_half_life_days", 1.0, 3.0, 7.0, 14.0),
    ladder("new_items.days", 14.0, 30.0, 60.0, 120.0),
    ladder("early_adopters.half_life_days", 1.0, 3.0, 7.0, 14.0),
    ladder("ranker.candidates", 50, 100, 150, 200, 300),
    ladder("ranker.cuts", 1, 2, 3),
    words("ranker.objective", "lambdarank", "rank_xendcg"),
    ladder("ranker.learning_rate", 0.02, 0.05, 0.1),
    ladder("ranker.leaves", 15, 31, 63, 127),
    ladder("ranker.min_leaf", 20, 50, 100, 200, 500),
    ladder("ranker.feature_share", 0.2, 0.4, 0.6, 0.8, 1.0),
    ladder("ranker.truncation", 10, 20, 40, 80),
    ladder("ranker.visit_decay", 0.0, 0.25, 0.5, 0.75, 0.9),
    ladder("ranker.purchase_decay", 0.5, 0.7, 0.85, 0.95, 1.0),
)


def space_of(start: TrainingSpec) -> tuple[Knob, ...]:
    """The knobs there are: what counts nothing or is not learnt at the start stays so."""
    weighed = dict(start.event_weights)
    return tuple(
        knob
        for knob in SPACE
        if (not knob.key.startswith("event_weights.") or weighed.get(knob.key.split(".")[1]))
        and (not knob.key.startswith("ranker.") or start.ranker.learn)
    )


def settings_of(spec: TrainingSpec, space: Sequence[Knob]) -> dict[str, Value]:
    """The value of every knob, by name."""
    table = spec.resolved
    return {knob.name: knob.of(table) for knob in space}


def with_settings(
    start: TrainingSpec, space: Sequence[Knob], settings: Mapping[str, Value]
) -> TrainingSpec:
    """The specification with these knobs turned. Raises `ConfigError` where they do not fit."""
    table = start.resolved
    for knob in space:
        knob.put(table, settings[knob.name])
    return parse_spec(table)


def _table(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    holder: Any = table
    for name in key.split(".")[:-1]:
        holder = holder[name]
    found: dict[str, Any] = holder
    return found
