"""Under which name the log knows who asks."""

from __future__ import annotations

from feature_store.pseudonyms import Pseudonyms
from serving.schemas import RecommendationRequest

ANONYMOUS = "anonymous"


def subject_key(request: RecommendationRequest, pseudonyms: Pseudonyms) -> tuple[str, str]:
    """Type and keyed pseudonym of the subject; an empty one for nobody."""
    if request.visitor_id:
        return "visitor", pseudonyms.of("visitor", request.visitor_id)
    if request.user_id:
        return "user", pseudonyms.of("user", request.user_id)
    return ANONYMOUS, ""
