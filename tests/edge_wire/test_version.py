"""Checks which release this is, and which protocol two programs of different releases agree on."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from edge_wire.release import PROGRAM
from edge_wire.v1 import session_pb2
from edge_wire.version import PROTOCOL_MAJOR, PROTOCOL_MINOR, agreed_minor, protocol

ROOT = Path(__file__).parents[2]


def test_the_release_is_the_one_that_is_packaged() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == PROGRAM


def test_a_program_agrees_with_itself() -> None:
    assert agreed_minor(protocol()) == PROTOCOL_MINOR


@pytest.mark.parametrize("minor", [0, 1, 99])
def test_two_programs_speak_the_older_ones_minor_version(minor: int) -> None:
    theirs = session_pb2.ProtocolVersion(major=PROTOCOL_MAJOR, minor=minor)
    assert agreed_minor(theirs) == min(minor, PROTOCOL_MINOR)


@pytest.mark.parametrize("major", [0, 2, 2**32 - 1])
def test_two_major_versions_do_not_understand_each_other(major: int) -> None:
    assert agreed_minor(session_pb2.ProtocolVersion(major=major, minor=0)) is None


def test_a_peer_that_says_nothing_is_not_understood() -> None:
    assert agreed_minor(session_pb2.ProtocolVersion()) is None
