"""Words that options of several commands may have."""

from __future__ import annotations

from enum import StrEnum


class ViewChoice(StrEnum):
    """How output is shown."""

    STREAM = "stream"
    GROUPED = "grouped"
    DIFF = "diff"
    SUMMARY = "summary"
    NONE = "none"


class OfflineChoice(StrEnum):
    """What offline nodes mean."""

    FAIL = "fail"
    SKIP = "skip"
    QUEUE = "queue"


class PolicyChoice(StrEnum):
    """Which exit code."""

    AUTO = "auto"
    FLEET = "fleet"
    NONE = "none"
