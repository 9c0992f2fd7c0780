"""What one `edgectl exec` was asked to do, read from its words, and the request that says it to the admin."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from edge_wire.errors import SelectorEmpty, UsageError
from edge_wire.timestamps import to_duration
from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import selector_pb2

View = Literal["stream", "none"]
ExitPolicy = Literal["auto", "fleet", "none"]
Offline = Literal["fail", "skip"]

_OFFLINE = {"fail": pb.OFFLINE_POLICY_FAIL, "skip": pb.OFFLINE_POLICY_SKIP}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_FANOUT = re.compile(r"(\d{1,6})(%?)")


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What one exec was asked to do."""

    nodes: Sequence[str]
    clusters: Sequence[str] = ()
    is_all: bool = False
    argv: Sequence[str] = ()
    is_shell: bool = False
    fanout: str = "64"
    timeout: timedelta | None = None
    kill_after: timedelta | None = None
    contact_timeout: timedelta | None = None
    offline: Offline = "fail"
    view: View = "stream"
    is_raw: bool = False
    has_prefix: bool = True
    has_progress: bool = True
    name: str = ""
    request_id: str = ""
    exit_policy: ExitPolicy = "auto"

    @property
    def is_one_node(self) -> bool:
        """Decided by the words typed, never by how many nodes they match."""
        return (
            len(self.nodes) == 1
            and not self.clusters
            and not self.is_all
            and _PLAIN_NAME.fullmatch(self.nodes[0]) is not None
        )

    @property
    def passes_code(self) -> bool:
        """Whether the remote exit code becomes ours."""
        return self.is_one_node and self.exit_policy == "auto"


def check(wishes: Wishes, remote_argv: Sequence[str] | None) -> None:
    """Refuse what cannot be meant. Raises UsageError, SelectorEmpty."""
    if remote_argv is None:
        raise UsageError("what to run is missing", hint="edgectl exec NODE... -- PROGRAM [ARGUMENT...]")
    if not remote_argv:
        raise UsageError("there is nothing behind --", hint="edgectl exec NODE... -- PROGRAM [ARGUMENT...]")
    if not wishes.nodes and not wishes.clusters and not wishes.is_all:
        raise SelectorEmpty(hint="edgectl node list")
    read_fanout(wishes.fanout)


def read_fanout(text: str) -> pb.Portion:
    """`64` or `25%`. Raises UsageError."""
    match = _FANOUT.fullmatch(text)
    number = int(match[1]) if match else 0
    is_percent = bool(match and match[2])
    if number < 1 or (is_percent and number > 100):
        raise UsageError(f"--fanout {text!r} is neither a number from 1 on nor 1% to 100%")
    return pb.Portion(percent=number) if is_percent else pb.Portion(count=number)


def to_request(wishes: Wishes, *, is_exact: bool = False, is_dry_run: bool = False) -> pb.CreateCommandRequest:
    """The request; it always carries a request id, so that sending it again creates nothing new."""
    spec = pb.CommandSpec(
        offline=_OFFLINE[wishes.offline],
        fanout=read_fanout(wishes.fanout),
        name=wishes.name,
        exact_output=is_exact,
    )
    if wishes.is_shell:
        spec.shell = " ".join(wishes.argv)
    else:
        spec.argv.arguments.extend(wishes.argv)
    for field in ("timeout", "kill_after", "contact_timeout"):
        span: timedelta | None = getattr(wishes, field)
        if span is not None:
            getattr(spec, field).CopyFrom(to_duration(span))
    selector = selector_pb2.Selector(nodes=wishes.nodes, clusters=wishes.clusters, all=wishes.is_all)
    request_id = wishes.request_id or str(uuid.uuid4())
    return pb.CreateCommandRequest(selector=selector, spec=spec, request_id=request_id, dry_run=is_dry_run)
