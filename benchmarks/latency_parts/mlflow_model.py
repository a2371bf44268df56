"""What `mlflow models serve` is to serve: a factor model of `implicit` behind a pyfunc.

MLflow executes this file (models from code); the factors are its artefact.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.pyfunc
import numpy as np
import pandas as pd
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse

SHOWN = 20


class FactorModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Answers one row per shopper who is asked for."""

    def load_context(self, context: Any) -> None:
        """Load the factors."""
        folder = Path(context.artifacts["factors"])
        item_factors = np.load(folder / "item_factors.npy", allow_pickle=False)
        self.model = AlternatingLeastSquares(factors=item_factors.shape[1])
        self.model.item_factors = item_factors
        self.model.user_factors = np.load(folder / "user_factors.npy", allow_pickle=False)
        self.user_items = sparse.csr_matrix(sparse.load_npz(folder / "user_items.npz"))

    def predict(
        self,
        context: Any,  # noqa: ARG002 - the signature that MLflow calls
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> list[dict[str, object]]:
        """The best items of each."""
        answers: list[dict[str, object]] = []
        for user_id in model_input["user_id"]:
            user = int(user_id[1:])
            found, scores = self.model.recommend(user, self.user_items[user], N=SHOWN)
            items = [
                {"item_id": f"item-{item:07d}", "score": float(score)}
                for item, score in zip(found, scores, strict=True)
            ]
            answers.append({"user_id": user_id, "items": items})
        return answers


mlflow.models.set_model(FactorModel())
