"""How many files may be open; in a process of its own each, as a limit that was lowered for good stays so."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROGRAM = """
import resource
from edge_wire.open_files import allow_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(allow_open_files({most}), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "most", "then"),
    [
        (200, 900, 500, "500 500 900"),
        (200, 900, 5000, "900 900 900"),
        (300, 900, 200, "300 300 900"),
        (900, 900, 5000, "900 900 900"),
    ],
)
def test_it_takes_what_is_allowed_and_never_less_than_it_had(soft: int, hard: int, most: int, then: str) -> None:
    program = _PROGRAM.format(soft=soft, hard=hard, most=most)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == then
