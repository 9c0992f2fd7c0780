"""The one loop that copies: from a source to a target, whichever of them is on the node."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from edge_wire.errors import CopyFailed, CopyMismatch
from edgectl.copying.entries import CopyStopped, Entry, Kind, Reading, Source, Target, Writing, shown
from edgectl.copying.reports import NodeReport


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to copy."""

    recursive: bool = False
    preserve: bool = False
    """Modes and times."""
    resume: bool = False
    """Continue what an interrupted copy left."""
    is_checked: bool = True
    """Compare checksums of what was sent and what arrived before a file gets its name."""


class TreeCopy:
    """Copies whole sources. What fails of one is reported, and the rest goes on."""

    def __init__(self, *, source: Source, target: Target, is_push: bool, options: Options, report: NodeReport) -> None:
        self._source = source
        self._target = target
        self._is_push = is_push
        self._options = options
        self._report = report
        self._from = b""
        self._to = b""

    def copy(self, source: bytes, target: bytes) -> None:
        """Copy one source to this place. Raises CopyFailed and what ends the whole copy.

        Links come last: nothing is written once there is something that could lead elsewhere.
        """
        self._from, self._to = source, target
        entries = self._listed()
        files = [entry for entry in entries if entry.kind is Kind.FILE]
        self._report.planned(len(files), sum(entry.size for entry in files))
        directories = [entry for entry in entries if entry.kind is Kind.DIRECTORY]
        missing: set[tuple[bytes, ...]] = set()
        for entry in directories:
            if entry.parts[:-1] in missing or not self._attempt(self._make_directory, entry):
                missing.add(entry.parts)
        for kind, act in ((Kind.FILE, self._copy_file), (Kind.LINK, self._copy_link)):
            for entry in entries:
                if entry.kind is kind and not (entry.parts and entry.parts[:-1] in missing):
                    self._attempt(act, entry)
        for entry in reversed(directories if self._options.preserve else []):
            if entry.parts not in missing:
                self._attempt(self._finish_directory, entry)

    def _listed(self) -> list[Entry]:
        entries = []
        for entry in self._source.entries(self._from, recursive=self._options.recursive):
            self._report.require_going_on()
            if isinstance(entry, CopyFailed):
                self._report.failed(entry)
            else:
                entries.append(entry)
        return entries

    def _attempt(self, act: Callable[[Entry], None], entry: Entry) -> bool:
        try:
            act(entry)
        except CopyStopped:
            raise
        except CopyFailed as failure:
            self._report.failed(failure)
            return False
        return True

    def _make_directory(self, entry: Entry) -> None:
        self._report.require_going_on()
        self._target.make_directory(self._to, entry)

    def _finish_directory(self, entry: Entry) -> None:
        self._target.finish_directory(self._to, entry)

    def _copy_link(self, entry: Entry) -> None:
        self._report.require_going_on()
        self._target.make_link(self._to, entry)

    def _copy_file(self, entry: Entry) -> None:
        path = self._path(entry)
        self._report.started(path)
        resume = self._options.resume
        with (
            self._source.reading(self._from, entry) as reading,
            self._target.writing(self._to, entry, resume=resume) as writing,
        ):
            hashed, start = hashlib.sha256(), self._agree(entry, reading, writing)
            offset = start
            for piece in reading.pieces(offset, entry.size):
                hashed.update(piece)
                writing.write(piece, offset)
                offset += len(piece)
                self._report.moved(len(piece))
            writing.settle()
            if self._options.is_checked and offset and (self._is_push or entry.size):
                near, far = (reading, writing) if self._is_push else (writing, reading)
                ours = near.digest(offset) if start else hashed.digest()
                self._require_same(ours, far.digest(offset), path, writing)
            writing.keep(entry, preserve=self._options.preserve)
        self._report.done(path)

    def _agree(self, entry: Entry, reading: Reading, writing: Writing) -> int:
        """How many bytes are there already: what an earlier copy left counts when both sides have the same."""
        have = writing.have
        if not have:
            return 0
        if have > entry.size or reading.digest(have) != writing.digest(have):
            writing.restart()
            return 0
        self._report.resumed(have)
        return have

    @staticmethod
    def _require_same(near: bytes, far: bytes, path: bytes, writing: Writing) -> None:
        if near != far:
            writing.restart()  # so that nobody continues what is wrong
            raise CopyMismatch(
                f"{shown(path)}: what arrived is not what was sent, or it changed meanwhile", hint="Copy it again."
            )

    def _path(self, entry: Entry) -> bytes:
        return b"/".join((self._from.rstrip(b"/") or b"/", *entry.parts)) if entry.parts else self._from
