"""What was measured, in the shape of the JSON report and of the printed table. Pure, but for writing the file."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROMISED = ("vs_clush_cold", "vs_clush_warm", "vs_bare_grpc_1000", "per_node_10000_vs_1000")
"""Ratios that are in every report of exec; null where they were not measured."""


@dataclass
class Figure:
    """All values of one case, one per round or call."""

    unit: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    def percentile(self, percent: int) -> float:
        """Interpolated; the only value when there is one."""
        if len(self.values) == 1:
            return self.values[0]
        return statistics.quantiles(self.values, n=100, method="inclusive")[percent - 1]

    def summary(self) -> dict[str, Any]:
        """For the report."""
        return {
            "unit": self.unit,
            "median": _rounded(self.median),
            "p10": _rounded(self.percentile(10)),
            "p90": _rounded(self.percentile(90)),
            "p99": _rounded(self.percentile(99)),
            "min": _rounded(min(self.values)),
            "max": _rounded(max(self.values)),
            "count": len(self.values),
        }


class Report:
    """Figures by name, ratios of their medians, and what a reader must know of the run."""

    def __init__(self, machine: Mapping[str, Any], promised: Sequence[str] = PROMISED) -> None:
        self._machine = machine
        self._promised = promised
        self._figures: dict[str, Figure] = {}
        self._ratios: dict[str, tuple[str, str, float]] = {}
        self._worst: dict[str, tuple[Sequence[str], Callable[[Iterable[float]], float]]] = {}
        self._curves: dict[str, Sequence[tuple[float, float]]] = {}
        self._notes: list[str] = []
        self.is_counting = True
        """False in a round that only warms up: what is added then is dropped."""

    def add(self, name: str, value: float, unit: str = "s") -> None:
        """Note one value of a case."""
        if self.is_counting:
            self._figures.setdefault(name, Figure(unit)).values.append(value)

    def add_all(self, name: str, values: Iterable[float], unit: str = "s") -> None:
        """Note many values of a case."""
        for value in values:
            self.add(name, value, unit)

    def compare(self, name: str, figure: str, to: str, *, scale: float = 1.0) -> None:
        """Report the ratio of two medians, times `scale`, once both were measured."""
        self._ratios[name] = (figure, to, scale)

    def compare_worst(self, name: str, ratios: Sequence[str], *, worst: Callable[[Iterable[float]], float]) -> None:
        """Report the worst of some ratios, once all are there."""
        self._worst[name] = (ratios, worst)

    def curve(self, name: str, points: Sequence[tuple[float, float]]) -> None:
        """Note how something went: (x, y) in order of x."""
        self._curves[name] = points

    def note(self, text: str) -> None:
        """What a reader of the figures must know."""
        if text not in self._notes:
            self._notes.append(text)

    def ratios(self) -> dict[str, float | None]:
        """Every ratio; None where one side is missing."""
        found: dict[str, float | None] = dict.fromkeys(self._promised)
        for name, (figure, to, scale) in self._ratios.items():
            if figure in self._figures and to in self._figures and self._figures[to].median:
                found[name] = _rounded(scale * self._figures[figure].median / self._figures[to].median)
        for name, (ratios, worst) in self._worst.items():
            values = [value for ratio in ratios if (value := found.get(ratio)) is not None]
            found[name] = worst(values) if len(values) == len(ratios) else None
        return found

    def to_json(self, *, interrupted: bool) -> dict[str, Any]:
        """The whole report."""
        return {
            "ratios": self.ratios(),
            "figures": {name: figure.summary() for name, figure in self._figures.items()},
            "curves": {name: [[_rounded(x), _rounded(y)] for x, y in points] for name, points in self._curves.items()},
            "notes": self._notes,
            "machine": dict(self._machine),
            "interrupted": interrupted,
        }

    def write(self, path: Path, *, interrupted: bool) -> None:
        """Replace the file whole."""
        replace_file(path, json.dumps(self.to_json(interrupted=interrupted), indent=2) + "\n")

    def lines(self) -> list[str]:
        """The table, the ratios and the notes, for people."""
        lines = [f"{'case':46} {'median':>12} {'p10 to p90':>25} {'n':>5}"]
        for name, figure in self._figures.items():
            spread = f"{shown(figure.percentile(10))} to {shown(figure.percentile(90))}"
            median = f"{shown(figure.median)} {figure.unit}"
            lines.append(f"{name:46} {median:>12} {spread:>25} {len(figure.values):5}")
        for name, points in self._curves.items():
            lines.append(f"{name}: " + ", ".join(f"{shown(y)} at {shown(x)}" for x, y in points))
        for name, ratio in self.ratios().items():
            lines.append(f"{name:46} {'not measured' if ratio is None else shown(ratio):>12}")
        return [*lines, *(f"note: {text}" for text in self._notes)]


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def replace_file(path: Path, text: str) -> None:
    """Write it whole or leave what was there."""
    scratch = path.with_name(f".{path.name}.part")
    scratch.write_text(text)
    scratch.replace(path)


def shown(value: float) -> str:
    """A figure as people read it."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
