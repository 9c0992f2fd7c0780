"""Files and directories that only their owner may read, made and replaced the same way by all three programs."""

from __future__ import annotations

import os
from pathlib import Path

from edge_wire.errors import DirectoryNotWritable


def open_data_dir(path: Path) -> None:
    """Make a program's data directory when it is missing. Raises DirectoryNotWritable."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = path / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DirectoryNotWritable(
            f"{path} cannot be written ({error.strerror})", hint="set DATA_DIR to a directory of your own"
        ) from None


def write_private(path: Path, text: str) -> None:
    """Replace a file of mode 0600 whole and durably, with its directory if need be. Raises DirectoryNotWritable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise DirectoryNotWritable(f"{path} cannot be written ({error.strerror})") from None


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_DIRECTORY | os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
