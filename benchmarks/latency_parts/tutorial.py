"""The service that a tutorial would have one write: FastAPI, `implicit` and pandas, in one file.

It is written as those texts write it and is not made slower on purpose: models are loaded once,
ids are looked up in data frames, a plain ``def`` lets FastAPI answer in its threads, and pydantic
describes the question and the answer. It knows who asks and answers from the factor model alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import uvicorn
from fastapi import FastAPI, HTTPException
from implicit.cpu.als import AlternatingLeastSquares
from pydantic import BaseModel
from scipy import sparse


class Question(BaseModel):
    """Who asks, and for how many."""

    user_id: str
    k: int = 20


class Recommendation(BaseModel):
    """One item."""

    item_id: str
    title: str
    score: float


class Answer(BaseModel):
    """The items, best first."""

    user_id: str
    items: list[Recommendation]


def create_app(folder: Path) -> FastAPI:
    """The service over the factors in this folder."""
    item_factors = np.load(folder / "item_factors.npy", allow_pickle=False)
    model = AlternatingLeastSquares(factors=item_factors.shape[1])
    model.item_factors = item_factors
    model.user_factors = np.load(folder / "user_factors.npy", allow_pickle=False)
    user_items = sparse.csr_matrix(sparse.load_npz(folder / "user_items.npz"))
    users = pd.DataFrame({"user_id": [f"u{n}" for n in range(user_items.shape[0])]})
    items = pd.DataFrame({"item_id": [f"item-{n:07d}" for n in range(user_items.shape[1])]})
    items["title"] = "Thing " + items["item_id"]
    app = FastAPI()

    @app.post("/recommend")
    def recommend(question: Question) -> Answer:
        rows = users.index[users["user_id"] == question.user_id]
        if len(rows) == 0:
            raise HTTPException(status_code=404, detail="unknown user")
        user = int(rows[0])
        found, scores = model.recommend(user, user_items[user], N=question.k)
        shown = items.iloc[found].assign(score=scores)
        return Answer(
            user_id=question.user_id,
            items=[Recommendation(**row) for row in shown.to_dict("records")],
        )

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    uvicorn.run(create_app(given.folder), port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
