"""One training run in MLflow: what went in, what came out, and the model that it registers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recommender.bundle import ModelBundle
from training.registry import (
    BUNDLE_VERSION_TAG,
    DATA_DIGEST_TAG,
    RegisteredModel,
    Registry,
    RegistryError,
)

_MODEL_CODE: Final = Path(__file__).with_name("registry_model.py")
_PARAM_LIMIT: Final = 6000  # MLflow refuses longer values


@dataclass(frozen=True, slots=True)
class DataLineage:
    """The data set of a run, from model back to the log.

    Parameters
    ----------
    name
        Short name, for example the source format.
    digest
        Digest of the rows of the window.
    source
        Where the rows came from: a file or folder.
    window_start, window_end
        ISO 8601, UTC.
    rows
        Rows of the window.
    log_offsets
        How far each segment or file of the log had been read.
    """

    name: str
    digest: str
    source: str
    window_start: str
    window_end: str
    rows: int
    log_offsets: Mapping[str, object]

    @property
    def tags(self) -> dict[str, str]:
        """The window and its size, as MLflow keeps them beside the data set."""
        return {
            "window_start": self.window_start,
            "window_end": self.window_end,
            "rows": str(self.rows),
        }


class Run:
    """A run that is being written.

    Parameters
    ----------
    clock
        Microseconds since the epoch.
    """

    def __init__(self, registry: Registry, run_id: str, clock: Callable[[], int]) -> None:
        self.registry = registry
        self.run_id = run_id
        self._clock = clock

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record parameters; nested mappings become dotted names."""
        from mlflow.entities import Param

        flat = [Param(key, str(value)[:_PARAM_LIMIT]) for key, value in flatten(params).items()]
        self._call("log parameters", lambda client: client.log_batch(self.run_id, params=flat))

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Record figures. ``@`` is not allowed in MLflow: ``ndcg@20`` becomes ``ndcg_at_20``."""
        from mlflow.entities import Metric

        now = self._clock() // 1000
        flat = [Metric(metric_name(k), float(v), now, 0) for k, v in metrics.items()]

        def write(client: Any) -> None:
            for start in range(0, len(flat), 1000):  # MLflow takes at most 1000 in a call
                client.log_batch(self.run_id, flat[start : start + 1000])

        self._call("log metrics", write)

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags on the run."""

        def write(client: Any) -> None:
            for key, value in tags.items():
                client.set_tag(self.run_id, key, value)

        self._call("set tags", write)

    def log_data(self, data: DataLineage) -> None:
        """Record which data set the run used: digest, window and row count, never rows."""

        def write(client: Any) -> None:
            from mlflow.data.meta_dataset import MetaDataset
            from mlflow.data.sources import LocalArtifactDatasetSource
            from mlflow.entities import DatasetInput, InputTag

            source = LocalArtifactDatasetSource(data.source)
            # MLflow keeps at most 36 characters of a digest; the full one is a tag of the run.
            dataset = MetaDataset(source, name=data.name, digest=data.digest[:36])
            tags = {"mlflow.data.context": "training"} | data.tags
            marks = [InputTag(key, value) for key, value in tags.items()]
            client.log_inputs(self.run_id, [DatasetInput(dataset._to_mlflow_entity(), marks)])
            client.log_dict(self.run_id, dict(data.log_offsets), "lineage/log_offsets.json")

        self._call("log the data set", write)
        self.log_tags({DATA_DIGEST_TAG: data.digest} | data.tags)

    def log_folder(self, folder: Path, name: str) -> None:
        """Record the files of a folder under a name."""
        self._call(
            f"log {name}", lambda client: client.log_artifacts(self.run_id, str(folder), name)
        )

    def log_file(self, path: Path, name: str) -> None:
        """Record one file in the folder of a name; an older one of the same name is replaced."""
        self._call(
            f"log {path.name}", lambda client: client.log_artifact(self.run_id, str(path), name)
        )

    def log_dict(self, value: Mapping[str, object], path: str) -> None:
        """Record a JSON document."""
        self._call(f"log {path}", lambda client: client.log_dict(self.run_id, dict(value), path))

    def register(
        self, bundle: ModelBundle, folder: Path, placements: Path, example: Mapping[str, object]
    ) -> RegisteredModel:
        """Register the bundle as a new version of the model.

        Parameters
        ----------
        bundle, folder
            The bundle, and where it is.
        placements
            Placement file that the registered model answers with.
        example
            A question that the model must be able to answer; it is kept with the model.
        """
        info = bundle.manifest.info
        tags = {
            BUNDLE_VERSION_TAG: bundle.version,
            "bundle_digest": bundle.manifest.digest,
            DATA_DIGEST_TAG: info.data_digest,
            "config_digest": info.config_digest,
            "window_start": info.window_start,
            "window_end": info.window_end,
        }

        def write(client: Any) -> str:
            with tempfile.TemporaryDirectory(prefix="desirepath-model-") as scratch:
                model_uri = self._upload(client, Path(scratch), (folder, placements), example)
            _ensure_model(client, self.registry.tracking.model)
            made = client.create_model_version(
                self.registry.tracking.model,
                model_uri,
                run_id=self.run_id,
                tags=tags,
                model_id=model_uri.rpartition("/")[2],
            )
            return str(made.version)

        version = self._call("register the model", write)
        return RegisteredModel(version, self.run_id, bundle.version, tags)

    def _upload(
        self, client: Any, scratch: Path, parts: tuple[Path, Path], example: Mapping[str, object]
    ) -> str:
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model

        experiment = client.get_run(self.run_id).info.experiment_id
        logged = client.create_logged_model(experiment, "bundle", self.run_id)
        model = Model(run_id=self.run_id, model_id=logged.model_id)
        # MLflow keeps an artifact under the name of its source, and follows no links.
        named = (scratch / "bundle", scratch / "placements.toml")
        shutil.copytree(parts[0], named[0])
        shutil.copy(parts[1], named[1])
        save_model(scratch / "model", named, example, model)
        client.log_model_artifacts(logged.model_id, str(scratch / "model"))
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(self.run_id, [LoggedModelOutput(logged.model_id, step=0)])
        return f"models:/{logged.model_id}"

    def _call(self, purpose: str, operation: Callable[[Any], Any]) -> Any:
        return self.registry.call(purpose, operation)


@contextmanager
def start_run(registry: Registry, name: str, clock: Callable[[], int]) -> Iterator[Run]:
    """Begin a run; it ends as finished, or as failed with the error when the block raises."""

    def begin(client: Any) -> str:
        experiment = _ensure_experiment(client, registry)
        made = client.create_run(experiment, start_time=clock() // 1000, run_name=name)
        return str(made.info.run_id)

    run = Run(registry, registry.call("start a run", begin), clock)
    try:
        yield run
    except BaseException as error:
        _end(run, "FAILED", {"error": f"{type(error).__name__}: {error}"[:5000]})
        raise
    _end(run, "FINISHED", {})


def save_model(
    path: Path, parts: tuple[Path, Path], example: Mapping[str, object], model: object = None
) -> None:
    """Save a bundle and a placement file as an MLflow model folder, without any pickle."""
    import mlflow
    import mlflow.pyfunc
    import numpy as np

    import recommender

    bundle, placements = parts
    mlflow.pyfunc.save_model(
        path=str(path),
        python_model=str(_MODEL_CODE),
        artifacts={"bundle": str(bundle), "placements": str(placements)},
        # The domain package travels along: numpy and MLflow are all that a reader needs.
        code_paths=[str(Path(recommender.__file__).parent)],
        input_example=[dict(example)],
        pip_requirements=[f"mlflow=={mlflow.__version__}", f"numpy=={np.__version__}"],
        mlflow_model=model,
    )


def flatten(nested: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested mappings as one level of dotted names."""
    flat: dict[str, object] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def metric_name(name: str) -> str:
    """Name under which MLflow accepts a metric."""
    return name.replace("@", "_at_")


def _end(run: Run, status: str, tags: Mapping[str, str]) -> None:
    try:
        run.log_tags(tags)
        run.registry.call(
            "end the run",
            lambda client: client.set_terminated(run.run_id, status, run._clock() // 1000),
        )
    except RegistryError:
        if status == "FINISHED":
            raise  # a failure is already on its way up; the run stays open in the registry


def _ensure_experiment(client: Any, registry: Registry) -> str:
    from mlflow.exceptions import MlflowException

    tracking = registry.tracking
    if (found := client.get_experiment_by_name(tracking.experiment)) is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(tracking.experiment, tracking.artifacts))
    except MlflowException:  # made by another process meanwhile
        if (found := client.get_experiment_by_name(tracking.experiment)) is None:
            raise
        return str(found.experiment_id)


def _ensure_model(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
