"""Plain `ssh` to nodes: the block for ~/.ssh/config, and what ssh asks of us by it.

ssh runs `edgectl ssh-config --admit` for each host (Match exec): for a node it has the admin let our key in for two
minutes and succeeds, for anything else it fails, and ssh goes on as if we were not there. A node chooses its own name:
one that means something else here already is left alone, unless the block was made for it with `--hosts`.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from edge_wire.calls import call
from edge_wire.errors import (
    EdgeError,
    InvalidValue,
    NodeOffline,
    NodeOnOtherAdmin,
    NotFound,
    NotLoggedIn,
    OutputNotWritable,
    SshUnsupported,
    SshUserDenied,
)
from edge_wire.names import is_dns_form, quoted
from edge_wire.targets import SSH_PORT
from edge_wire.v1 import ssh_pb2 as pb
from edgectl.connect import ask
from edgectl.contexts import config_dir
from edgectl.invocation import Invocation
from edgectl.output import error_line, note
from edgectl.ssh.logins import KeyPair, key_pair_of, known_hosts, new_key_pair, write_secret
from edgectl.ssh.own_command import for_ssh, own_command

_KEY = "ssh/id_ed25519"
_ADMIT_WITHIN = timedelta(seconds=4)
_RESOLVE_WITHIN = 2.0
_IS_A_NODE = (NodeOffline, NodeOnOtherAdmin, SshUnsupported, SshUserDenied)
_PART_OF_ID = re.compile(r"[0-9a-f-]{4,35}")


def block(invocation: Invocation, *, user: str, hosts: str) -> str:
    """What goes into ~/.ssh/config."""
    edgectl = for_ssh(own_command(invocation))
    trusted = f" --hosts {shlex.quote(hosts)}" if hosts else ""
    asked = f"{edgectl} ssh-config{trusted} --admit '%r@%n'"
    lines = [
        "# Nodes of edgectl, by name. Written by: edgectl ssh-config",
        f'Match originalhost {hosts} exec "{asked}"' if hosts else f'Match exec "{asked}"',
        *([f"    User {user}"] if user else []),
        f"    ProxyCommand {edgectl} tunnel --stdio '%n' {SSH_PORT}",
        f"    KnownHostsCommand {edgectl} ssh-config --known-hosts %H",
        f'    IdentityFile "{key_path()}"',
        "    IdentitiesOnly yes",
        "    PasswordAuthentication no",
        "    KbdInteractiveAuthentication no",
        "    UserKnownHostsFile /dev/null",
        "    GlobalKnownHostsFile /dev/null",
        "    StrictHostKeyChecking yes",
        "    CheckHostIP no",
        "    UpdateHostKeys no",
    ]
    return "\n".join(lines)


def admit_host(invocation: Invocation, host: str, user: str, *, is_trusted: bool) -> bool:
    """Whether ssh is to go through us to this host; then our key may log in to it, or ssh will hear why not.

    `is_trusted` when the user said that the name means a node. Silent about hosts that are none: ssh asks for each.
    """
    try:
        key = _key_pair()
        request = pb.AdmitSshRequest(node=host, user=user, public_key=key.public)
        admitted = ask(
            invocation, lambda admin: call(admin.ssh.Admit, request, token=admin.token, timeout=_ADMIT_WITHIN)
        )
    except (NotFound, InvalidValue, NotLoggedIn):
        return False
    except EdgeError as error:
        note(error_line(error))
        # What is a node fails in what ssh does next, and for the same reason, instead of leading elsewhere.
        return is_trusted or isinstance(error, _IS_A_NODE)
    if _is_part_of_id(host, admitted.host):
        return False
    if is_trusted or is_dns_form(host) or not _resolves(host):
        return True
    note(f"{quoted(host)} is a node, but means something else here, too: say {admitted.host.dns_name}")
    return False


def _is_part_of_id(host: str, node: pb.SshHost) -> bool:
    """A few hex digits that a node's id begins with are no name: `cafe` may be a machine."""
    is_part = _PART_OF_ID.fullmatch(host) is not None and node.node_id.startswith(host)
    return is_part and host != node.node_name


def _resolves(host: str) -> bool:
    """Whether the name has an address here without us."""
    asking = ThreadPoolExecutor(1)
    try:
        return bool(asking.submit(socket.getaddrinfo, host, None).result(_RESOLVE_WITHIN))
    except (OSError, UnicodeError, TimeoutError):
        return False
    finally:
        asking.shutdown(wait=False, cancel_futures=True)


def print_known_hosts(invocation: Invocation, host: str) -> None:
    """The keys of a node as lines of known_hosts, for KnownHostsCommand. Raises EdgeError."""
    name = host.removeprefix("[").partition("]")[0]
    found = ask(invocation, lambda admin: admin.call(admin.ssh.GetHost, pb.GetSshHostRequest(node=name)))
    sys.stdout.write(known_hosts(host, found))


def key_path() -> Path:
    """Where the key of this machine is. It opens nothing but what the admin has let it in for minutes ago."""
    return config_dir() / _KEY


def _key_pair() -> KeyPair:
    """The key of this machine, made once, however many of us begin at the same moment. Raises OutputNotWritable."""
    path = key_path()
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            scratch = path.with_name(f".{path.name}.{os.getpid()}")
            write_secret(scratch, new_key_pair().private)
            with suppress(FileExistsError):
                os.link(scratch, path)  # the first one wins
            scratch.unlink()
        return key_pair_of(path.read_bytes())
    except OSError as error:
        raise OutputNotWritable(f"{path} cannot be written ({error.strerror})") from None
