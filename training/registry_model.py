"""The registered model as code: MLflow executes this file, and the bundle folder is its data.

MLflow reads the file (models from code) instead of unpickling an object, so that every MLflow
tool can load the model and gets the answers of the service: both call
`recommender.pipeline.recommend` on the same bundle. Import it nowhere else; it declares the
model when it runs.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.pyfunc
import pydantic

from recommender.bundle import load_bundle
from recommender.errors import InvalidInputError
from recommender.pipeline import recommend
from recommender.placements import Placement, read_placements
from recommender.policy import TopPolicy
from recommender.query import Interaction, Query
from recommender.slate import Slate


class InteractionRow(pydantic.BaseModel):
    """One thing the shopper did; `ts` in microseconds since the epoch, UTC."""

    model_config = pydantic.ConfigDict(extra="forbid")

    item_id: str
    event_type: str
    ts: int


class PriceRow(pydantic.BaseModel):
    """Bounds of a price, both included."""

    model_config = pydantic.ConfigDict(extra="forbid")

    min: float | None = None
    max: float | None = None


class FilterRow(pydantic.BaseModel):
    """Attribute conditions, see `recommender.filters.conditions`; all must hold."""

    model_config = pydantic.ConfigDict(extra="forbid")

    category: list[str] | None = None
    brand: list[str] | None = None
    price: PriceRow | None = None


class QueryRow(pydantic.BaseModel):
    """One question; the fields are those of `recommender.query.Query`, `at` is RFC 3339."""

    model_config = pydantic.ConfigDict(extra="forbid")

    placement: str
    at: str
    limit: int | None = None
    history: list[InteractionRow] | None = None
    session: list[InteractionRow] | None = None
    context_items: list[str] | None = None
    cart_items: list[str] | None = None
    category: str | None = None
    exclude_items: list[str] | None = None
    filter: FilterRow | None = None
    personalize: str | None = None

    @pydantic.field_validator("limit", mode="before")
    @classmethod
    def _whole(cls, value: object) -> object:
        # A pandas column with an absent value holds floats.
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def to_query(self, placement: Placement) -> Query:
        """The question in the terms of the pipeline; what is absent takes its defaults."""
        given: dict[str, Any] = {
            "limit": placement.limit if self.limit is None else self.limit,
            "history": _interactions(self.history),
            "session": _interactions(self.session),
            "context_items": tuple(self.context_items or ()),
            "cart_items": tuple(self.cart_items or ()),
            "category": self.category,
            "exclude_items": frozenset(self.exclude_items or ()),
            "filter": self.filter and self.filter.model_dump(exclude_none=True),
            "personalize": self.personalize,
        }
        given = {name: value for name, value in given.items() if value is not None}
        return Query(at=datetime.fromisoformat(self.at), placement=self.placement, **given)


class ItemRow(pydantic.BaseModel):
    """One recommended item, see `recommender.slate.SlateItem`."""

    item_id: str
    position: int
    score: float
    kind: str
    source: str
    reason: str


class AnswerRow(pydantic.BaseModel):
    """One answer, see `recommender.slate.Slate`; `model_version` is the bundle's."""

    items: list[ItemRow]
    fallback_level: str
    policy: str
    model_version: str


class DesirepathModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # MLflow is not annotated
    """Answers questions from the bundle among the model's artifacts."""

    def load_context(self, context: Any) -> None:
        """Verify and load the bundle; the parameter's name is MLflow's."""
        self.bundle = load_bundle(Path(context.artifacts["bundle"]))
        self.placements = read_placements(Path(context.artifacts["placements"]))

    def predict(self, context: Any, model_input: list[QueryRow]) -> list[AnswerRow]:  # noqa: ARG002 - MLflow passes it
        """One answer per question, in order."""
        return [self._answer(row) for row in model_input]

    def _answer(self, row: QueryRow) -> AnswerRow:
        if (placement := self.placements.get(row.placement)) is None:
            known = ", ".join(sorted(self.placements))
            raise InvalidInputError(f"placement={row.placement!r}; accepted: {known}")
        slate = recommend(row.to_query(placement), self.bundle, placement, TopPolicy())
        return _as_row(slate, self.bundle.version)


def _interactions(rows: list[InteractionRow] | None) -> tuple[Interaction, ...]:
    return tuple(Interaction(row.item_id, row.event_type, row.ts) for row in rows or ())


def _as_row(slate: Slate, version: str) -> AnswerRow:
    items = [
        ItemRow(
            item_id=item.item_id,
            position=item.position,
            score=float(item.score),
            kind=item.kind,
            source=item.source,
            reason=item.reason,
        )
        for item in slate.items
    ]
    return AnswerRow(
        items=items,
        fallback_level=slate.fallback_level,
        policy=slate.policy,
        model_version=version,
    )


mlflow.models.set_model(DesirepathModel())
