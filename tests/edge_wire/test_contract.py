"""The contract as its protos state it: HTTP annotations, comments, and stable numbering of what must never be zero."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import EnumDescriptor, FileDescriptor, MethodDescriptor

from edge_wire.v1 import (
    admin_pb2,
    audit_pb2,
    cluster_pb2,
    command_pb2,
    enrollment_pb2,
    error_pb2,
    node_pb2,
    principal_pb2,
    selector_pb2,
    session_pb2,
    ssh_pb2,
    tunnel_pb2,
)

ROOT = Path(__file__).parents[2]
FILES: list[FileDescriptor] = [
    module.DESCRIPTOR
    for module in (
        admin_pb2,
        audit_pb2,
        cluster_pb2,
        command_pb2,
        enrollment_pb2,
        error_pb2,
        node_pb2,
        principal_pb2,
        selector_pb2,
        session_pb2,
        ssh_pb2,
        tunnel_pb2,
    )
]
METHODS: list[MethodDescriptor] = [
    method for file in FILES for service in file.services_by_name.values() for method in service.methods
]
ENUMS: list[EnumDescriptor] = [enum for file in FILES for enum in file.enum_types_by_name.values()]


def test_no_proto_file_is_left_out_here() -> None:
    assert {Path(file.name).name for file in FILES} == {path.name for path in ROOT.glob("proto/edge_wire/v1/*.proto")}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_what_rest_can_serve_is_annotated_and_nothing_else(method: MethodDescriptor) -> None:
    is_for_operators = method.containing_service.name != "NodeGate"
    has_path = method.GetOptions().HasExtension(annotations_pb2.http)
    assert has_path == (is_for_operators and not method.client_streaming)


def test_no_two_methods_share_a_verb_and_a_path() -> None:
    rules = [method.GetOptions().Extensions[annotations_pb2.http] for method in METHODS]
    paths = [(rule.WhichOneof("pattern"), getattr(rule, rule.WhichOneof("pattern"))) for rule in rules if str(rule)]
    assert len(paths) == len(set(paths))
    assert all(path.startswith("/v1/") for _, path in paths)


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.name)
def test_zero_is_unspecified_in_every_enum(enum: EnumDescriptor) -> None:
    assert enum.values_by_number[0].name.endswith("_UNSPECIFIED")


def test_every_message_method_and_enum_has_a_comment() -> None:
    bare = []
    for path in sorted((ROOT / "proto").rglob("*.proto")):
        lines = path.read_text().splitlines()
        for above, line in itertools.pairwise(lines):
            word = line.strip().partition(" ")[0]
            is_empty = line.rstrip().endswith("{}")
            if word in {"message", "enum", "service", "rpc"} and not is_empty and not above.strip().startswith("//"):
                bare.append(f"{path.name}: {line.strip()}")
    assert bare == []
