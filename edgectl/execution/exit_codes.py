"""Which exit code a command stands for: pure, after the table of the command line's contract."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from edge_wire import errors
from edge_wire.errors import EdgeError
from edgectl.execution.tally import OUTCOMES, Standing
from edgectl.execution.wishes import Offline, Wishes

OWN_FAILURE = 255
"""One-node mode: edgectl itself failed, as OpenSSH says it."""
TIMED_OUT = 124
HUNG_UP = 129
INTERRUPTED = 130
TERMINATED = 143

_LINUX_SIGNALS = {"BUS": 7, "USR1": 10, "USR2": 12, "CHLD": 17, "CONT": 18, "STOP": 19, "TSTP": 20, "URG": 23, "IO": 29}
"""Numbers on the node where macOS has others (signal(7))."""

_ONE_NODE_FAILURES: Mapping[str, type[EdgeError]] = {
    "offline": errors.NodeOffline,
    "no_contact": errors.NoContact,
    "lost": errors.ExecutionLost,
    "expired": errors.ExecutionExpired,
    "dropped": errors.ExecutionDropped,
    "not_started": errors.ExecutionNotStarted,
}


def of_fleet(counts: Mapping[str, int], wishes: Wishes, stop_reason: str | None = None) -> int:
    """The code of a whole command."""
    if wishes.exit_policy == "none":
        return 0
    if stop_reason == "deadline":
        return TIMED_OUT
    unreached = sum(counts[word] for word in ("no_contact", "expired", "dropped", "lost"))
    unreached += counts["total"] - sum(counts[word] for word in OUTCOMES)  # no end was heard of
    if wishes.pace.offline != "skip":
        unreached += counts["offline"]
    if unreached:
        return 4
    if counts["not_started"] and stop_reason != "cancelled":
        return 8
    return 3 if any(counts[word] for word in ("failed", "timed_out", "cancelled", "not_started")) else 0


def of_one_node(item: Standing, stop_reason: str | None = None, *, offline: Offline = "fail") -> int:
    """The remote code; 128+n for a signal, 124 for a time-out or the deadline, 255 when there is none to pass on."""
    if stop_reason == "deadline":
        return TIMED_OUT
    if _is_skipped(item, offline):
        return 0
    end = item.end
    if end is None or one_node_failure(item) is not None:
        return OWN_FAILURE
    if item.outcome == "timed_out":
        return TIMED_OUT
    if end.signal:
        return 128 + _signal_number(end.signal)
    return end.exit_code if end.HasField("exit_code") else OWN_FAILURE


def one_node_failure(item: Standing, *, offline: Offline = "fail") -> EdgeError | None:
    """Why there is no remote code, or None when there is one that tells the truth, or the node was to be skipped."""
    if _is_skipped(item, offline):
        return None
    kind = _ONE_NODE_FAILURES.get(item.outcome or "")
    name = item.target.node_name
    if kind is not None:
        message = item.end.error_message if item.end is not None else ""
        started: errors.Started = "unknown" if item.outcome in {"lost", "no_contact", "dropped"} else "no"
        return kind(f"{name}: {message or errors.default_message(kind)}", started=started)
    if item.has_gap:
        return errors.OutputIncomplete(f"{name}: some of the output is not to be had any more", started="yes")
    return None


def _is_skipped(item: Standing, offline: Offline) -> bool:
    return offline == "skip" and item.outcome == "offline"


def _signal_number(name: str) -> int:
    short = name.removeprefix("SIG")
    if short.isdigit():
        return int(short)
    if short in _LINUX_SIGNALS:
        return _LINUX_SIGNALS[short]
    return int(signal.Signals[name]) if name in signal.Signals.__members__ else 127
