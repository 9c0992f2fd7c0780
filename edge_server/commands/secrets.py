"""Values of environment variables: encrypted beside the command, in memory while it is under way, then wiped."""

from __future__ import annotations

from edge_server.commands.models import CommandRow
from edge_server.encryption import Cipher
from edge_wire.v1 import command_pb2 as pb


def without_values(spec: pb.CommandSpec) -> pb.CommandSpec:
    """A copy that may be stored and shown."""
    shown = pb.CommandSpec()
    shown.CopyFrom(spec)
    for variable in shown.environment:
        variable.value = ""
    return shown


def seal(cipher: Cipher, command_id: str, spec: pb.CommandSpec) -> bytes | None:
    """The environment, encrypted for this command; None when there is none."""
    if not spec.environment:
        return None
    return cipher.encrypt(
        pb.CommandSpec(environment=spec.environment).SerializeToString(), purpose=_purpose(command_id)
    )


def unseal(cipher: Cipher, command: CommandRow) -> pb.CommandSpec:
    """What was asked, with its values as far as they are kept. Raises SettingsInvalid when no key fits."""
    spec = pb.CommandSpec.FromString(command.spec)
    if command.secrets is not None:
        kept = pb.CommandSpec.FromString(cipher.decrypt(command.secrets, purpose=_purpose(command.id)))
        del spec.environment[:]
        spec.environment.extend(kept.environment)
    return spec


def _purpose(command_id: str) -> str:
    return f"environment of {command_id}"
