from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from feature_store.cores import usable_cores
from recommender.errors import ConfigError
from serving.cli import app
from serving.settings import Settings, settings_table


def test_variables_then_flags() -> None:
    environ = {
        "DESIREPATH_PORT": "9000",
        "DESIREPATH_ROOT": "/data",
        "DESIREPATH_DEV": "true",
        "DESIREPATH_CORS_ORIGINS": "https://a.example, https://b.example",
        "DESIREPATH_DRAIN_SECONDS": "2.5",
        "PATH": "/bin",
    }
    settings = Settings.load(environ, {"port": 9001, "host": None, "keys": "k.json"})
    assert (settings.port, settings.root, settings.dev) == (9001, Path("/data"), True)
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert (settings.drain_seconds, settings.host) == (2.5, "127.0.0.1")
    assert settings.keys_path == Path("k.json")


def test_variables_of_other_verbs_are_passed_over() -> None:
    environ = {"DESIREPATH_TRACKING_URI": "http://127.0.0.1:5000", "DESIREPATH_API_KEY": "k"}
    assert Settings.load(environ, {}) == Settings()


def test_keys_live_in_the_data_folder_unless_told_otherwise() -> None:
    assert Settings(root=Path("shop")).keys_path == Path("shop/keys.json")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "x"),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("DEV", "maybe"),
        ("WORKERS", "-1"),
        ("DRAIN_SECONDS", "nan"),
        ("LOG_LEVEL", "loud"),
        ("PROT", "8000"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"(?i){name}"):
        Settings.load({f"DESIREPATH_{name}": value.lower()}, {})


def test_every_setting_has_its_flag() -> None:
    command = typer.main.get_command(app)
    flags = {flag for each in command.params for flag in each.opts}
    assert {row["flag"] for row in settings_table()} | {"--json"} <= flags
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "300", "TERM": "dumb"})
    assert shown.exit_code == 0
    assert all(row["meaning"][:30] in shown.output for row in settings_table())


def test_as_many_processes_as_named_or_as_there_are_cores() -> None:
    assert Settings(workers=3).processes == 3
    assert Settings().processes == usable_cores()
    with pytest.raises(ConfigError, match="workers=-1; accepted: 0 or more"):
        Settings(workers=-1)
