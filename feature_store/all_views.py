"""Every feature view by name, and the sets of them that models read."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from feature_store.shopper_views import VISITOR_BRAND, VISITOR_STAGE
from feature_store.views import ITEM_STATISTICS, VISITOR_ACTIVITY, VISITOR_ITEM, FeatureService

_VIEWS: Final = (VISITOR_ACTIVITY, ITEM_STATISTICS, VISITOR_ITEM, VISITOR_STAGE, VISITOR_BRAND)

VIEWS: Final = MappingProxyType({view.name: view for view in _VIEWS})
RANKING: Final = FeatureService("ranking", (VISITOR_ACTIVITY, ITEM_STATISTICS, VISITOR_ITEM))
