"""Plain `ssh` to nodes: the block for ~/.ssh/config, and what ssh asks of us by it.

ssh runs `edgectl ssh-config --admit` for each host (Match exec): for a node it has the admin let our key in for two
minutes and succeeds, for anything else it fails quickly and silently, and ssh goes on as if we were not there.
"""

from __future__ import annotations

import os
import shlex
import sys
from datetime import timedelta
from pathlib import Path

from edge_wire.calls import call
from edge_wire.errors import EdgeError
from edge_wire.targets import SSH_PORT
from edge_wire.v1 import ssh_pb2 as pb
from edgectl.connect import ask
from edgectl.contexts import config_dir
from edgectl.invocation import Invocation
from edgectl.ssh.logins import KeyPair, new_key_pair, write_secret

_KEY = "ssh/id_ed25519"
_ADMIT_WITHIN = timedelta(seconds=5)


def block(invocation: Invocation, *, user: str, hosts: str) -> str:
    """What goes into ~/.ssh/config."""
    edgectl = " ".join(shlex.quote(word) for word in _own_command(invocation))
    match = (
        f'Match originalhost {hosts} exec "{edgectl} ssh-config --admit %r@%n"'
        if hosts
        else (f'Match exec "{edgectl} ssh-config --admit %r@%n"')
    )
    lines = [
        "# Nodes of edgectl, by name. Written by: edgectl ssh-config",
        match,
        f"    ProxyCommand {edgectl} tunnel --stdio %n {SSH_PORT}",
        f"    KnownHostsCommand {edgectl} ssh-config --known-hosts %H",
        f'    IdentityFile "{key_path()}"',
        "    IdentitiesOnly yes",
        "    UserKnownHostsFile /dev/null",
        "    GlobalKnownHostsFile /dev/null",
        "    StrictHostKeyChecking yes",
        "    CheckHostIP no",
        "    UpdateHostKeys no",
    ]
    if user:
        lines.insert(2, f"    User {user}")
    return "\n".join(lines)


def admit_host(invocation: Invocation, host: str, user: str) -> bool:
    """Whether this host is a node; then our key may log in to it. Never says anything: ssh asks for every host."""
    key = _key_pair()
    request = pb.AdmitSshRequest(node=host, user=user, public_key=key.public)
    try:
        ask(invocation, lambda admin: call(admin.ssh.Admit, request, token=admin.token, timeout=_ADMIT_WITHIN))
    except EdgeError:
        return False
    return True


def print_known_hosts(invocation: Invocation, host: str) -> None:
    """The keys of a node as lines of known_hosts, for KnownHostsCommand. Raises EdgeError."""
    name = host.removeprefix("[").partition("]")[0]
    found = ask(invocation, lambda admin: admin.call(admin.ssh.GetHost, pb.GetSshHostRequest(node=name)))
    sys.stdout.write("".join(f"{host} {key}\n" for key in found.host_keys))


def key_path() -> Path:
    """Where the key of this machine is. It opens nothing but what the admin has let it in for minutes ago."""
    return config_dir() / _KEY


def _key_pair() -> KeyPair:
    path = key_path()
    public = path.with_suffix(".pub")
    try:
        return KeyPair(private=path.read_bytes(), public=public.read_text(encoding="utf-8").strip())
    except OSError:
        pass
    made = new_key_pair()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for target, content in ((path, made.private), (public, made.public.encode())):
        scratch = target.with_name(f".{target.name}.{os.getpid()}")
        write_secret(scratch, content)
        scratch.replace(target)
    return made


def _own_command(invocation: Invocation) -> list[str]:
    program = Path(sys.argv[0])
    own = [str(program.resolve())] if program.name == "edgectl" else [sys.executable, "-m", "edgectl"]
    return [*own, *(["--context", invocation.context] if invocation.context else [])]
