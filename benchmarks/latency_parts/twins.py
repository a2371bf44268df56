"""Other versions of a model that some contestants ask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from recommender.bundle import load_bundle, save_bundle

WITH_VECTORS: Final = ("als", "encoder")


def twin_of(bundle: Path, folder: Path) -> Path:
    """The same arrays under another version."""
    return _kept(bundle, folder, {"twin": True})


def exact_twin_of(bundle: Path, folder: Path) -> Path:
    """The same model, whose sources with vectors propose from all of the catalogue."""
    sources = dict(load_bundle(bundle).manifest.info.sources)
    for name in sources.keys() & set(WITH_VECTORS):
        sources[name] = replace(sources[name], params={**sources[name].params, "of_pool": 0.0})
    return _kept(bundle, folder, {"twin": "exact"}, sources=sources)


def _kept(bundle: Path, folder: Path, said: dict[str, Any], **changes: Any) -> Path:
    if not folder.exists():
        model = load_bundle(bundle)
        info = model.manifest.info
        config = {**info.config, **said}
        save_bundle(folder, model.arrays, replace(info, config=config, **changes))
    return folder
