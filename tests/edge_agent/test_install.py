"""The systemd unit that `edge-agent install` writes."""

from __future__ import annotations

import shlex
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest

from edge_agent.install import UNIT_NAME, Place, install_unit, require_unit_dir, unit_text
from edge_agent.settings import given_settings
from edge_wire.errors import DirectoryNotWritable


def parsed(text: str) -> RawConfigParser:
    unit = RawConfigParser(strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # names of units have capitals
    unit.read_string(text)
    return unit


def test_the_unit_runs_this_agent_on_its_data_directory(tmp_path: Path) -> None:
    place = Place(data_dir=Path("/srv/edge"), unit_dir=tmp_path / "units")
    require_unit_dir(place)
    said = install_unit(place)
    unit = parsed((tmp_path / "units" / UNIT_NAME).read_text())
    program = Path(sys.executable).parent / "edge-agent"
    assert unit["Service"]["ExecStart"] == f"{program} run"
    assert unit["Service"]["Environment"] == "DATA_DIR=/srv/edge"
    assert unit["Install"]["WantedBy"] == "multi-user.target"
    assert str(tmp_path / "units" / UNIT_NAME) in said
    assert f"DATA_DIR=/srv/edge {program} run" in said


def test_stopping_the_unit_leaves_the_runner_alone_and_a_crash_is_mended_for_ever() -> None:
    unit = parsed(unit_text(Place(data_dir=Path("/srv/edge"), unit_dir=Path("/")), Path("/opt/edge/bin/edge-agent")))
    assert unit["Service"]["KillMode"] == "process"
    assert unit["Service"]["Restart"] == "always"
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"


def test_the_unit_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENROLLMENT_KEY", "ek-secret")
    install_unit(Place(data_dir=tmp_path / "data", unit_dir=tmp_path))
    text = (tmp_path / UNIT_NAME).read_text()
    assert "ek-secret" not in text
    assert "ENROLLMENT_KEY" not in text


def test_installing_again_replaces_the_unit_and_leaves_nothing_else(tmp_path: Path) -> None:
    install_unit(Place(data_dir=Path("/srv/one"), unit_dir=tmp_path))
    install_unit(Place(data_dir=Path("/srv/two"), unit_dir=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [UNIT_NAME]
    assert "/srv/two" in (tmp_path / UNIT_NAME).read_text()


def test_a_data_directory_may_have_blanks_and_percent_signs() -> None:
    unit = parsed(
        unit_text(Place(data_dir=Path("/srv/edge agent/100%"), unit_dir=Path("/")), Path("/opt/edge/bin/edge-agent"))
    )
    assert shlex.split(unit["Service"]["Environment"]) == ["DATA_DIR=/srv/edge agent/100%%"]


def test_the_service_gets_the_settings_that_were_given_and_no_secret(tmp_path: Path) -> None:
    given = {"NODE_LABELS": "rack=7", "ENROLLMENT_KEY": "ek-secret", "NODE_ALIAS": "web", "HOME": "/root"}
    place = Place(data_dir=Path("/srv/edge"), unit_dir=tmp_path, environment=given_settings(given))
    unit = unit_text(place, Path("/opt/edge/bin/edge-agent"))
    assert [line for line in unit.splitlines() if line.startswith("Environment=")] == [
        "Environment=DATA_DIR=/srv/edge",
        "Environment=NODE_LABELS=rack=7",
    ]


def test_a_unit_that_cannot_be_written_is_found_out_before_anything_is_enrolled() -> None:
    with pytest.raises(DirectoryNotWritable, match="/proc/x cannot be written"):
        require_unit_dir(Place(data_dir=Path("/srv/edge"), unit_dir=Path("/proc/x")))
