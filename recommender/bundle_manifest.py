"""What a bundle says about itself: `manifest.json`, canonical JSON without any wall-clock in it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields

from recommender.bundle_schema import FORMAT
from recommender.errors import BundleError

DIGEST = re.compile(r"[0-9a-f]{64}")
FILE_NAME = re.compile(r"[a-z][a-z0-9_]{0,80}\.npy")


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """How a candidate source was made.

    Parameters
    ----------
    seed_events
        Event types of the shopper that this source starts from; empty means all.
    params
        Numbers that serving needs, for example ``alpha`` of the factor model.
    """

    seed_events: tuple[str, ...] = ()
    params: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RankerInfo:
    """What the trees of a ranker were taught.

    Parameters
    ----------
    features
        Names of the columns they look at, in order; see `recommender.features`.
    stats
        Names of the columns of ``item_stats``.
    candidates
        How many candidates are ranked.
    shortlist
        Weight of each source in the score by which these are chosen.
    """

    features: tuple[str, ...]
    stats: tuple[str, ...]
    candidates: int
    shortlist: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class BundleInfo:
    """What training knows about the arrays.

    Parameters
    ----------
    window_start, window_end
        Data window, ISO 8601 in UTC.
    data_digest
        Digest of the data window.
    config, config_digest
        The resolved training configuration and its digest.
    libraries
        Version of each library that shaped the arrays.
    sources
        The candidate sources, by name.
    blend
        Weight of each source in the score.
    event_weights
        Weight of an interaction by event type; types that are not named count nothing.
    seed_half_life_seconds
        Age after which an interaction counts half.
    ranker
        What orders the candidates; None: the blend does.
    """

    window_start: str
    window_end: str
    data_digest: str
    config: Mapping[str, object]
    config_digest: str
    libraries: Mapping[str, str]
    sources: Mapping[str, SourceInfo]
    blend: Mapping[str, float]
    event_weights: Mapping[str, float]
    seed_half_life_seconds: float
    ranker: RankerInfo | None = None


@dataclass(frozen=True, slots=True)
class FileInfo:
    """Size and digest of one array file."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BundleManifest:
    """The whole manifest.

    Parameters
    ----------
    digest
        sha256 over the canonical JSON of all other parts.
    files
        The array files, by file name.
    """

    info: BundleInfo
    files: Mapping[str, FileInfo]
    digest: str
    format: int = FORMAT

    @property
    def version(self) -> str:
        """Short name of the bundle: the first 16 hex digits of its digest."""
        return self.digest[:16]

    @classmethod
    def describe(cls, info: BundleInfo, files: Mapping[str, FileInfo]) -> BundleManifest:
        """Make the manifest of these files."""
        return cls(info, files, _digest(_body(info, files)))

    def to_json(self) -> bytes:
        """Canonical JSON, with the digest and the version."""
        body = _body(self.info, self.files) | {"digest": self.digest, "version": self.version}
        return json.dumps(body, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> BundleManifest:
        """Read and check a manifest. Raises `BundleError`."""
        try:
            raw = json.loads(text)
            if raw["format"] != FORMAT:
                raise BundleError(f"bundle format {raw['format']!r}; accepted: {FORMAT}")
            manifest = cls(_info(raw["info"]), _files(raw["files"]), str(raw["digest"]))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise BundleError(f"manifest.json is not a manifest: {error!r}") from error
        if manifest.to_json() != text:
            raise BundleError("manifest.json is not canonical: a part is unknown or was changed")
        if _digest(_body(manifest.info, manifest.files)) != manifest.digest:
            raise BundleError("manifest.json: the digest does not match the contents")
        return manifest


def _body(info: BundleInfo, files: Mapping[str, FileInfo]) -> dict[str, object]:
    described = {name: asdict(file) for name, file in files.items()}
    return {"format": FORMAT, "info": asdict(info), "files": described}


def _digest(body: dict[str, object]) -> str:
    canonical = json.dumps(body, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _info(raw: dict[str, object]) -> BundleInfo:
    if unknown := raw.keys() - {part.name for part in fields(BundleInfo)}:
        raise BundleError(f"manifest.json: unknown part {sorted(unknown)}")
    sources = raw["sources"]
    if not isinstance(sources, dict):
        raise TypeError(f"sources={sources!r}")
    described = {
        name: SourceInfo(tuple(map(str, value["seed_events"])), _numbers(value["params"]))
        for name, value in sources.items()
    }
    changed: dict[str, object] = {"sources": described, "ranker": _ranker(raw["ranker"])}
    info = BundleInfo(**(raw | changed))  # type: ignore[arg-type]
    _numbers(info.blend)
    _numbers(info.event_weights)
    if not (float(info.seed_half_life_seconds) > 0):
        raise BundleError(f"seed_half_life_seconds={info.seed_half_life_seconds}; accepted: > 0")
    return info


_RANKER_PARTS = {part.name for part in fields(RankerInfo)}


def _ranker(raw: object) -> RankerInfo | None:
    if raw is None:
        return None
    if not isinstance(raw, dict) or raw.keys() != _RANKER_PARTS:
        raise TypeError(f"ranker={raw!r}")
    candidates = raw["candidates"]
    if isinstance(candidates, bool) or not isinstance(candidates, int) or candidates < 1:
        raise BundleError(f"manifest.json: ranker.candidates={candidates!r}; accepted: 1 or more")
    features, stats = (tuple(map(str, raw[part])) for part in ("features", "stats"))
    return RankerInfo(features, stats, candidates, _numbers(raw["shortlist"]))


def _numbers(raw: Mapping[str, float]) -> dict[str, float]:
    values = dict(raw.items())
    for name, value in values.items():
        if isinstance(value, bool) or not math.isfinite(value):
            raise BundleError(f"manifest.json: {name}={value!r} is not a number")
    return values


def _files(raw: dict[str, dict[str, object]]) -> dict[str, FileInfo]:
    files = {}
    for name, value in raw.items():
        size, digest = value["bytes"], value["sha256"]
        if not FILE_NAME.fullmatch(name) or not DIGEST.fullmatch(str(digest)):
            raise BundleError(f"manifest.json: file {name!r} has an unacceptable name or digest")
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise BundleError(f"manifest.json: size {size!r} of {name}")
        files[name] = FileInfo(size, str(digest))
    return files
