"""What can stand for an argument or an option's value: one table, by its name, for every command that there will be.

A new argument called `node` or a new option `--cluster` completes by itself. Enum choices and paths need no row: they
are told from their type.
"""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """Where the candidates come from."""

    NONE = ""
    NODE = "node"
    NODE_SET = "node_set"
    CLUSTER = "cluster"
    LABEL = "label"
    """`name=value`."""
    LABELS = "labels"
    """Requirements, joined by commas: `site=oslo,role!=db`."""
    LABEL_NAME = "label_name"
    COMMAND = "command"
    CONTEXT = "context"
    OUTCOMES = "outcomes"
    TOPIC = "topic"
    FILE = "file"
    DIRECTORY = "directory"


_BY_NAME = {
    "cluster": Kind.CLUSTER,
    "context": Kind.CONTEXT,
    "directory": Kind.DIRECTORY,
    "env_file": Kind.FILE,
    "exclude": Kind.NODE_SET,
    "from_file": Kind.FILE,
    "label": Kind.LABEL,
    "node": Kind.NODE,
    "only": Kind.OUTCOMES,
    "outdir": Kind.DIRECTORY,
    "script": Kind.FILE,
    "selector": Kind.NODE_SET,
    "stdin": Kind.FILE,
    "unlabel": Kind.LABEL_NAME,
}

_BY_OPTION = {
    "--from": Kind.FILE,
    "--outdir": Kind.DIRECTORY,
    "-l": Kind.LABELS,
    "-x": Kind.NODE_SET,
}

_BY_COMMAND = {
    ("cp", "label"): Kind.LABELS,
    ("cp", "paths"): Kind.FILE,
    ("cluster", "name"): Kind.CLUSTER,
    ("cluster create", "name"): Kind.NONE,
    ("command", "first"): Kind.COMMAND,
    ("command", "id"): Kind.COMMAND,
    ("command", "second"): Kind.COMMAND,
    ("context", "name"): Kind.CONTEXT,
    ("explain", "name"): Kind.TOPIC,
    ("ssh-key create", "file"): Kind.FILE,
    ("ssh-key create", "source"): Kind.NONE,
    ("ssh-session export", "file"): Kind.FILE,
    ("ssh-user create", "label"): Kind.LABELS,
    ("ssh-user create", "node"): Kind.NODE_SET,
    ("ssh-user create", "password"): Kind.FILE,
    ("node list", "node"): Kind.NODE_SET,
}


def kind_of(path: str, name: str, options: tuple[str, ...] = ()) -> Kind:
    """The kind of a parameter: `path` is the command without `edgectl`, `name` the parameter's in Python."""
    noun = path.partition(" ")[0]
    for key in ((path, name), (noun, name)):
        if key in _BY_COMMAND:
            return _BY_COMMAND[key]
    found = next((_BY_OPTION[option] for option in options if option in _BY_OPTION), None)
    return found or _BY_NAME.get(name, Kind.NONE)
