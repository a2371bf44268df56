"""Other versions of a model that some contestants ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.latency_parts.large import VECTORS
from recommender.bundle import load_bundle, save_bundle
from recommender.bundle_manifest import BundleInfo


def twin_of(bundle: Path, folder: Path) -> Path:
    """The same arrays under another version."""
    return _kept(bundle, folder, lambda info: replace(info, config={**info.config, "twin": True}))


def exact_twin_of(bundle: Path, folder: Path) -> Path:
    """The same model, whose sources with vectors propose from all of the catalogue."""
    return _kept(bundle, folder, _exact)


def _exact(info: BundleInfo) -> BundleInfo:
    sources = dict(info.sources)
    for name in sources.keys() & VECTORS.keys():
        sources[name] = replace(sources[name], params={**sources[name].params, "of_pool": 0.0})
    return replace(info, config={**info.config, "twin": "exact"}, sources=sources)


def _kept(bundle: Path, folder: Path, changed: Callable[[BundleInfo], BundleInfo]) -> Path:
    if not folder.exists():
        model = load_bundle(bundle)
        save_bundle(folder, model.arrays, changed(model.manifest.info))
    return folder
