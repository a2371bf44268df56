from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import desirepath
from recommender.errors import ConfigError, RefusedError
from recommender.merchandising.rules_file import DEFAULT_FILE
from tests.bundles import saved_bundle

HEAD = 'version = "v"\n'


def check(*arguments: str) -> object:
    result = CliRunner().invoke(desirepath.command_line(), ["rules", "check", *arguments, "--json"])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return json.loads(result.stdout)


def written(folder: Path, *tables: str) -> str:
    path = folder / "rules.toml"
    path.write_text(HEAD + "\n".join(f"[[rules]]\n{table}\n" for table in tables))
    return str(path)


def test_the_file_that_ships_is_fine() -> None:
    assert check(str(DEFAULT_FILE)) == {"version": "default", "rules": 0, "findings": []}


def test_its_examples_are_fine_once_they_count(tmp_path: Path) -> None:
    text = DEFAULT_FILE.read_text()
    live = [line.removeprefix("# ") for line in text.splitlines() if not line.startswith("# -")]
    begin = live.index("[[rules]]")
    path = tmp_path / "live.toml"
    path.write_text(HEAD + "\n".join(live[begin:]))
    assert check(str(path)) == {"version": "v", "rules": 9, "findings": []}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('name = "a"\nkind = "push"', "kind='push'; accepted: exclude"),
        ('kind = "exclude"\nwhere = "price < 3"', "exclude needs name"),
        ('name = "a"\nkind = "exclude"', "exclude needs where"),
        ('name = "a"\nkind = "exclude"\nwhere = "colour = 3"', "where: at character 1"),
        ('name = "a"\nkind = "exclude"\nwhere = 3', "where: 3; accepted: a filter"),
        ('name = "a"\nkind = "pin"\nitems = { x = 1 }\nwhere = "price < 3"', "unknown key"),
        ('name = "a"\nkind = "pin"\nitems = { x = 0 }', "whole number from 1 to 100"),
        ('name = "a"\nkind = "pin"\nitems = { x = 1, y = 1 }', "a position for each"),
        ('name = "a"\nkind = "pin"\nitems = {}', "item ids"),
        ('name = "a"\nkind = "boost"\nwhere = "price < 3"\nfactor = 0.5', "accepted: 1 to 100"),
        ('name = "a"\nkind = "bury"\nwhere = "price < 3"\nfactor = 2', "accepted: 0.01 to 1"),
        ('name = "a"\nkind = "boost"\nwhere = "price < 3"\nfactor = nan', "accepted: 1 to 100"),
        ('name = "a"\nkind = "diversity"\nlevel = "some"', "none, low, medium, high"),
        ('name = "a"\nkind = "diversity"\nlevel = 2', "level: 2; accepted: 0 to 1"),
        ('name = "a"\nkind = "constraint"\nat_most = 2', "either where or per"),
        ('name = "a"\nkind = "constraint"\nper = "brand"', "at_least, at_most, or both"),
        ('name = "a"\nkind = "constraint"\nper = "title"\nat_most = 2', "brand, category"),
        ('name = "a"\nkind = "constraint"\nper = "brand"\nat_least = 2', "at_least with per"),
        (
            'name = "a"\nkind = "constraint"\nwhere = "price < 3"\nat_least = 3\nat_most = 2',
            "above",
        ),
        ('name = "a"\nkind = "price_band"', "low, high, or both"),
        ('name = "a"\nkind = "diversity"\nlevel = 0\nplacements = ["attic"]', "are not known"),
        ('name = "a"\nkind = "diversity"\nlevel = 0\nplacements = []', "at least one"),
        ('name = "a"\nkind = "diversity"\nlevel = 0\nwhen = "price > 3"', "'price' is of an item"),
        ('name = "a"\nkind = "diversity"\nlevel = 0\nfrom = 2026-01-01T00:00:00', "with its zone"),
        (
            'name = "a"\nkind = "diversity"\nlevel = 0\nfrom = 2026-01-02T00:00:00Z\n'
            "until = 2026-01-01T00:00:00Z",
            "not after",
        ),
    ],
)
def test_a_fault_names_the_rule_and_what_is_accepted(tmp_path: Path, table: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        check(written(tmp_path, table))
    assert "rule 1" in str(error.value)
    assert says in str(error.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    twice = 'name = "a"\nkind = "diversity"\nlevel = 0'
    with pytest.raises(ConfigError) as error:
        check(written(tmp_path, 'kind = "pin"', twice, twice, 'name = "b"\nkind = "boost"'))
    assert str(error.value).count("\n") == 2
    assert "rule 4 (b)" in str(error.value)
    assert "name 'a' occurs 2 times" in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "version = 3", 'version = ""', 'version = "v"\nrule = 1', "a =", "rules = 3"]
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"rules\.toml"):
        check(str(path))
    with pytest.raises(ConfigError, match="absent"):
        check(str(tmp_path / "absent"))


PIN = 'kind = "pin"\nitems = {{ "item-0{0}" = {0} }}'


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        (['name = "a"\n' + PIN.format(1), 'name = "b"\n' + PIN.format(1)], "is taken by rule a"),
        (['name = "a"\nkind = "pin"\nitems = { "item-01" = 7 }'], "usual length of cart"),
        (['name = "a"\nkind = "pin"\nitems = { "item-99" = 1 }'], "is not in the model"),
        (['name = "a"\nkind = "pin"\nitems = { "item-19" = 1 }'], "is not available"),
        (['name = "a"\nkind = "exclude"\nwhere = "price > 1000"'], "no item of the model"),
        (
            ['name = "a"\nkind = "calibration"\nstrength = 1\nplacements = ["cart"]'],
            "does not start from",
        ),
    ],
)
def test_what_is_doubtful_is_found(tmp_path: Path, tables: list[str], says: str) -> None:
    saved_bundle(tmp_path / "bundle")
    arguments = [written(tmp_path, *tables), "--bundle", str(tmp_path / "bundle"), "--json"]
    result = CliRunner().invoke(desirepath.command_line(), ["rules", "check", *arguments])
    assert isinstance(result.exception, RefusedError)
    (finding,) = json.loads(result.stdout)["findings"]
    assert says in finding


def test_pins_that_never_meet_do_not_clash(tmp_path: Path) -> None:
    pin = PIN.format(1)
    apart = [
        f'name = "a"\n{pin}\nplacements = ["home"]\nuntil = 2026-01-01T00:00:00Z',
        f'name = "b"\n{pin}\nplacements = ["item"]',
        f'name = "c"\n{pin}\nplacements = ["home"]\nfrom = 2026-01-01T00:00:00Z',
    ]
    assert check(written(tmp_path, *apart)) == {"version": "v", "rules": 3, "findings": []}
