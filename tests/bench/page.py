"""A report as a part of a page of the documentation: between two marks, which stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from tests.bench.figures import replace_file, shown

BEGIN = "<!-- written by scripts/bench/exec --docs: begin -->"
END = "<!-- written by scripts/bench/exec --docs: end -->"
_VERSIONS = ("kernel", "python", "grpcio", "protobuf", "sqlalchemy", "sqlite")


class NoPlace(Exception):
    """The page has no place for a report."""


def check(path: Path) -> None:
    """Raise NoPlace when a report could not be put into this page: before hours of measuring, not after."""
    try:
        _cut(path.read_text())
    except (OSError, UnicodeError) as error:
        raise NoPlace(f"{path} cannot be read: {error}") from None
    except ValueError:
        raise NoPlace(f"{path} has no line {BEGIN} with {END} behind it") from None


def write(path: Path, report: Mapping[str, Any], today: date) -> None:
    """Replace what is between the marks of the page."""
    before, after = _cut(path.read_text())
    replace_file(path, "\n".join([before + BEGIN, "", *lines(report, today), "", END + after]))


def lines(report: Mapping[str, Any], today: date) -> Sequence[str]:
    """The report in Markdown. Pure."""
    machine = report["machine"]
    versions = ", ".join(f"{name} {machine[name]}" for name in _VERSIONS if name in machine)
    load = ", ".join(f"{value:.2f}" for value in machine.get("load_at_start", ()))
    hardware = f"{machine.get('cores')} cores of {machine.get('processor')}, {machine.get('memory_mib')} MiB"
    command = machine.get("command", "")
    found = [f"`{command}` on {today.isoformat()}, {hardware}; {versions}; load when it began {load}."]
    if report["interrupted"]:
        found += ["", "The run was interrupted; this is what was measured until then."]
    found += ["", "| ratio | |", "| --- | --- |"]
    for name, ratio in report["ratios"].items():
        found.append(f"| `{name}` | {'not measured' if ratio is None else shown(ratio)} |")
    found += ["", "| case | median | 10th to 90th percentile | values |", "| --- | --- | --- | --- |"]
    for name, figure in report["figures"].items():
        spread = f"{shown(figure['p10'])} to {shown(figure['p90'])}"
        found.append(f"| `{name}` | {shown(figure['median'])} {figure['unit']} | {spread} | {figure['count']} |")
    for name, points in report["curves"].items():
        found += ["", f"`{name}`: {', '.join(f'{shown(y)} at {shown(x)}' for x, y in points)}."]
    found += [line for note in report["notes"] for line in ("", f"Note: {note}.")]
    return found


def _cut(text: str) -> tuple[str, str]:
    """What is before and behind the marks. Raises ValueError."""
    begin = text.index(BEGIN)
    end = text.index(END, begin)
    return text[:begin], text[end + len(END) :]
