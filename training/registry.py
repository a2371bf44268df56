"""MLflow as the registry of models: versions, aliases, and the bundle of each version.

MLflow is imported inside the functions, because the import takes seconds; nothing on the
request path comes here. Every call is bounded by a deadline, so that a registry that hangs
is an error like one that refuses.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from recommender.errors import DesirepathError, InvalidInputError

CHALLENGER: Final = "challenger"
CHAMPION: Final = "champion"
BUNDLE_VERSION_TAG: Final = "bundle_version"
DATA_DIGEST_TAG: Final = "data_digest"
CATALOGUE_DIGEST_TAG: Final = "catalogue_digest"
_SQLITE: Final = "sqlite:///"
_BUNDLE_PATH: Final = "artifacts/bundle"

T = TypeVar("T")


class RegistryError(DesirepathError):
    """The registry did not answer, or not with what was asked for."""


@dataclass(frozen=True, slots=True)
class Tracking:
    """Where runs and models are recorded.

    Parameters
    ----------
    uri
        MLflow tracking and registry URI, for example ``sqlite:///var/mlflow.db``.
    artifacts
        Root URI of the artifacts of a new experiment; None leaves it to the server.
    experiment, model
        Name of the experiment and of the registered model.
    timeout_seconds
        Longest wait for one registry operation.
    """

    uri: str
    artifacts: str | None = None
    experiment: str = "desirepath"
    model: str = "desirepath"
    timeout_seconds: float = 120.0

    @classmethod
    def in_folder(cls, root: Path, timeout_seconds: float = 120.0) -> Tracking:
        """Everything in one folder, without a server: `mlflow.db` and `artifacts`."""
        root = root.resolve()
        uri, artifacts = f"sqlite:///{root / 'mlflow.db'}", (root / "artifacts").as_uri()
        return cls(uri, artifacts, timeout_seconds=timeout_seconds)

    @property
    def is_absent(self) -> bool:
        """A local database that nobody has made yet: looking into it must not make one."""
        return self.uri.startswith(_SQLITE) and not Path(self.uri.removeprefix(_SQLITE)).exists()


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """One version of the registered model.

    Parameters
    ----------
    version
        Number of the version in the registry.
    bundle_version
        Version of the bundle that it claims to hold.
    aliases
        Aliases that point at it.
    """

    version: str
    run_id: str
    bundle_version: str
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()


class Registry:
    """The registered model and its versions.

    Parameters
    ----------
    tracking
        Where they are recorded.
    """

    def __init__(self, tracking: Tracking) -> None:
        self.tracking = tracking

    def resolve(self, name: str) -> RegisteredModel | None:
        """Version that an alias or a version number names, None if there is none.

        Raises
        ------
        RegistryError
            The registry does not answer, or its answer lacks the bundle's version.
        """
        if self.tracking.is_absent:
            return None
        found = self.call(
            "look up " + name, lambda client: _find(client, self.tracking.model, name)
        )
        return None if found is None else _registered(found)

    def require(self, name: str) -> RegisteredModel:
        """Like `resolve`, but the version must exist."""
        if (found := self.resolve(name)) is None:
            raise InvalidInputError(
                f"{self.tracking.uri} has no version or alias {name!r} of model "
                f"{self.tracking.model!r}; run `desirepath train` first, or name another"
            )
        return found

    def versions(self) -> list[RegisteredModel]:
        """Every version, newest first; none where there is no registry yet."""
        if self.tracking.is_absent:
            return []
        found = self.call(
            "list the versions",
            lambda client: list(client.search_model_versions(f"name='{self.tracking.model}'")),
        )
        return sorted(map(_registered, found), key=lambda each: -int(each.version))

    def set_alias(self, alias: str, version: str) -> None:
        """Point an alias at a version."""
        name = self.tracking.model
        self.call(
            f"set alias {alias}",
            lambda client: client.set_registered_model_alias(name, alias, version),
        )

    def set_tags(self, version: str, tags: Mapping[str, str]) -> None:
        """Set tags on a version."""

        def write(client: Any) -> None:
            for key, value in tags.items():
                client.set_model_version_tag(self.tracking.model, version, key, value)

        self.call(f"tag version {version}", write)

    def fetch(self, registered: RegisteredModel, folder: Path) -> Path:
        """Download the bundle of a version into a folder; returns the bundle folder.

        What comes back is not verified here: see `training.deliver`.
        """

        def download(_: Any) -> str:
            import mlflow.artifacts

            folder.mkdir(parents=True, exist_ok=True)
            uri = f"models:/{self.tracking.model}/{registered.version}"
            return str(
                mlflow.artifacts.download_artifacts(
                    artifact_uri=f"{uri}/{_BUNDLE_PATH}",
                    dst_path=str(folder),
                    tracking_uri=self.tracking.uri,
                    registry_uri=self.tracking.uri,
                )
            )

        return Path(self.call(f"download version {registered.version}", download))

    def call(self, purpose: str, operation: Callable[[Any], T]) -> T:
        """Do something with an MLflow client, within the deadline.

        Raises
        ------
        RegistryError
            Whatever went wrong below: MLflow, its database, the network or the disk.
        """
        result = within(
            self.tracking.timeout_seconds,
            lambda: operation(client_of(self.tracking)),
            f"registry {self.tracking.uri}: {purpose}",
        )
        return result


def client_of(tracking: Tracking) -> Any:
    """MLflow client on this store; makes the folder of a new local store."""
    configure_environment(tracking.timeout_seconds)
    import mlflow

    # MLflow's stores look each other up through the process-wide URIs, whatever the client has.
    mlflow.set_tracking_uri(tracking.uri)
    mlflow.set_registry_uri(tracking.uri)
    if tracking.uri.startswith(_SQLITE):
        Path(tracking.uri.removeprefix(_SQLITE)).parent.mkdir(parents=True, exist_ok=True)
    return mlflow.MlflowClient(tracking_uri=tracking.uri, registry_uri=tracking.uri)


def configure_environment(timeout_seconds: float) -> None:
    """Settings that MLflow reads from the environment: no pickle, no telemetry, no long waits."""
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(max(1, int(timeout_seconds / 3))))
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")


def within(seconds: float, operation: Callable[[], T], purpose: str) -> T:
    """Result of an operation that may fail or hang.

    The operation runs in a thread of its own. One that hangs is left behind: it ends with the
    process at the latest, and its result is never used.
    """
    outcome: list[T] = []
    failure: list[Exception] = []

    def run() -> None:
        try:
            outcome.append(operation())
        except Exception as error:  # noqa: BLE001 - MLflow lets errors of every library below through
            failure.append(error)

    worker = threading.Thread(target=run, name="registry", daemon=True)
    worker.start()
    worker.join(seconds)
    if worker.is_alive():
        raise RegistryError(f"{purpose}: no answer within {seconds:g} s")
    if failure and isinstance(failure[0], DesirepathError):
        raise failure[0]
    if failure:
        raise RegistryError(f"{purpose}: {_first_line(failure[0])}") from failure[0]
    return outcome[0]


def _find(client: Any, model: str, name: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        if name.isdecimal():
            return client.get_model_version(model, name)
        return client.get_model_version_by_alias(model, name)
    except MlflowException as error:
        # An alias that is not set is INVALID_PARAMETER_VALUE, a missing model is the other.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _registered(found: Any) -> RegisteredModel:
    tags = {str(key): str(value) for key, value in dict(found.tags).items()}
    if BUNDLE_VERSION_TAG not in tags:
        raise RegistryError(f"version {found.version} has no tag {BUNDLE_VERSION_TAG!r}")
    aliases = tuple(sorted(map(str, found.aliases)))
    return RegisteredModel(
        str(found.version), str(found.run_id), tags[BUNDLE_VERSION_TAG], tags, aliases
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [repr(error)])[0]
