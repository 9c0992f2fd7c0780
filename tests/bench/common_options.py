"""What every benchmark is asked for: rounds, sections, and a place for the report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def check(parser: argparse.ArgumentParser, found: argparse.Namespace, known: Sequence[str]) -> Sequence[str]:
    """The sections to measure; ends the program with a usage error when `found` cannot be meant."""
    if found.rounds < 1:
        parser.error("--rounds: at least one round is needed")
    sections = [part for part in found.only.split(",") if part]
    unknown = [part for part in sections if part not in known]
    if unknown:
        parser.error(f"--only: no section {', '.join(unknown)}; there are {', '.join(known)}")
    if found.json is not None and not found.json.parent.is_dir():
        parser.error(f"--json: there is no directory {found.json.parent}")
    return sections or known
