"""What an operator may set: one table, read from ``DESIREPATH_*`` variables, then from flags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from feature_store.cores import usable_cores
from feature_store.layout import StoreLayout
from feature_store.online.redis_target import parse_target
from recommender.errors import ConfigError

PREFIX = "DESIREPATH_"
# Variables of the same prefix that belong to other parts of the project: a shell or a crontab that
# sets them for other verbs starts the service as well.
FOREIGN = frozenset(
    {
        "DESIREPATH_TRACKING_URI",
        "DESIREPATH_API_KEY",
        "DESIREPATH_SHARED",
        "DESIREPATH_CRASH_ROUNDS",
    }
)
TRUTHS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def _about(describe: str, low: float | None = None) -> dict[str, object]:
    return {"describe": describe, "low": low}


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the service; each is described in its metadata, which the docs are made from."""

    root: Path = field(
        default=Path("var"),
        metadata=_about("Data folder of the shop: log, online store, bundles, keys."),
    )
    host: str = field(default="127.0.0.1", metadata=_about("Address to listen on."))
    port: int = field(
        default=8000, metadata=_about("Port to listen on; 0 picks a free one and prints it.", 0)
    )
    workers: int = field(
        default=0,
        metadata=_about("Processes that answer on the port; 0: one per core it may use.", 0),
    )
    placements: Path | None = field(
        default=None, metadata=_about("Placements file; the one of the release where unset.")
    )
    rules: Path | None = field(
        default=None,
        metadata=_about("Rules file; the one of the release, without any, where unset."),
    )
    keys: Path | None = field(
        default=None,
        metadata=_about("File of hashed API keys; `keys.json` in the data folder where unset."),
    )
    dev: bool = field(
        default=False, metadata=_about("No key is asked for. For one's own machine only.")
    )
    demo: bool = field(
        default=False, metadata=_about("Serve the page /demo as well. Only with dev.")
    )
    cors_origins: tuple[str, ...] = field(
        default=(), metadata=_about("Origins whose pages may call, separated by commas.")
    )
    max_body_bytes: int = field(
        default=1 << 20, metadata=_about("Request body, at most; more is answered 413.", 1)
    )
    max_events: int = field(default=1000, metadata=_about("Events in one request, at most.", 1))
    body_timeout_seconds: float = field(
        default=10.0,
        metadata=_about("Time to send the head of a request, and then its body.", 0.001),
    )
    max_in_flight: int = field(
        default=512, metadata=_about("Requests at a time per process; more are answered 503.", 1)
    )
    max_waiting_answers: int = field(
        default=64, metadata=_about("Questions waiting for the pipeline; more are answered 503.", 1)
    )
    max_pending_events: int = field(
        default=20000,
        metadata=_about("Events waiting for the disk per process; more are answered 503.", 1),
    )
    drain_notice_seconds: float = field(
        default=0.5,
        metadata=_about("After SIGTERM: time to say 'not ready' before the port closes.", 0),
    )
    drain_seconds: float = field(
        default=15.0, metadata=_about("After that: time for requests in flight to finish.", 0)
    )
    bundle_poll_seconds: float = field(
        default=1.0,
        metadata=_about(
            "How often to look for a new bundle, and for changed rules and experiments.", 0.01
        ),
    )
    max_arm_bundles: int = field(
        default=2,
        metadata=_about("Bundles loaded beside the one in use for arms of experiments.", 0),
    )
    session_gap_seconds: float = field(
        default=1800.0, metadata=_about("Silence after which a new session begins.", 1)
    )
    anonymous_max_age_seconds: int = field(
        default=60, metadata=_about("Cache lifetime of anonymous GET answers.", 0)
    )
    online_map_bytes: int = field(
        default=1 << 30,
        metadata=_about("First size of the online store's map; doubled when full.", 1 << 20),
    )
    online_store: str = field(
        default="lmdb",
        metadata=_about("Where visitors' states live: lmdb (in the data folder) or redis."),
    )
    redis_url: str = field(
        default="redis://127.0.0.1:6379/0",
        metadata=_about(
            "Server where the online store is redis: redis://user:password@host:port/database, or "
            "rediss:// for TLS. Never logged."
        ),
        repr=False,
    )
    redis_timeout_seconds: float = field(
        default=0.03,
        metadata=_about("An answer waits so long for Redis, then goes on without it.", 0.001),
    )
    explore: bool = field(
        default=True,
        metadata=_about("Leave to chance what the placements say; false: nothing, in any of them."),
    )
    log_level: str = field(default="info", metadata=_about("debug, info, warning or error."))

    def __post_init__(self) -> None:
        for each in fields(self):
            low, value = each.metadata["low"], getattr(self, each.name)
            if low is not None and not value >= low:
                raise ConfigError(f"{each.name}={value}; accepted: {low} or more")
        if self.log_level not in ("debug", "info", "warning", "error"):
            raise ConfigError(
                f"log_level={self.log_level!r}; accepted: debug, info, warning, error"
            )
        if self.online_store not in ("lmdb", "redis"):
            raise ConfigError(f"online_store={self.online_store!r}; accepted: lmdb, redis")
        if self.online_store == "redis":
            parse_target(self.redis_url)
        if self.demo and not self.dev:
            raise ConfigError("demo=true; accepted: only with dev=true, the page has no key")
        if self.port > 65535:
            raise ConfigError(f"port={self.port}; accepted: 0 to 65535")

    @property
    def layout(self) -> StoreLayout:
        """Folders below the data folder."""
        return StoreLayout(self.root)

    @property
    def processes(self) -> int:
        """How many processes are to answer."""
        return self.workers or usable_cores()

    @property
    def keys_path(self) -> Path:
        """File of hashed API keys."""
        return self.keys or self.root / "keys.json"

    @classmethod
    def load(cls, environ: Mapping[str, str], overrides: Mapping[str, object]) -> Settings:
        """Settings from variables, then from flags; a flag that is None was not given.

        Raises
        ------
        ConfigError
            A ``DESIREPATH_*`` variable is unknown or a value is not acceptable.
        """
        kinds = {each.name: str(each.type) for each in fields(cls)}
        named = {key for key in environ if key.startswith(PREFIX)} - FOREIGN
        values = {key.removeprefix(PREFIX).lower(): environ[key] for key in named}
        if unknown := sorted(values.keys() - kinds.keys()):
            names, accepted = (
                ", ".join(PREFIX + name.upper() for name in group)
                for group in (unknown, sorted(kinds))
            )
            raise ConfigError(f"unknown variable {names}; known: {accepted}")
        parsed = {name: _parse(name, kinds[name], text) for name, text in values.items()}
        given = {
            name: _parse(name, kinds[name], value) if isinstance(value, str) else value
            for name, value in overrides.items()
            if value is not None
        }
        return cls(**(parsed | given))  # type: ignore[arg-type]


def _parse(name: str, kind: str, text: str) -> object:
    try:
        if kind == "bool":
            return TRUTHS[text.lower()]
        if kind.startswith("tuple"):
            return tuple(part.strip() for part in text.split(",") if part.strip())
        return {"int": int, "float": float, "str": str}.get(kind, Path)(text)
    except (ValueError, KeyError) as error:
        raise ConfigError(f"{PREFIX}{name.upper()}={text!r} is not a valid {kind}") from error


def settings_table() -> list[dict[str, str]]:
    """One row per setting: variable, flag, default, meaning."""
    return [
        {
            "variable": PREFIX + each.name.upper(),
            "flag": "--" + each.name.replace("_", "-"),
            "default": _shown(each.default),
            "meaning": each.metadata["describe"],
        }
        for each in fields(Settings)
    ]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value in (None, ()) else str(value)
