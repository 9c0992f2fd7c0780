"""Makes the shared fixtures and rules of tests/support available to every test. Fixtures themselves live there."""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before gRPC is imported: its lines about forks tell a reader nothing

pytest_plugins = [
    "tests.support.postgres",
    "tests.support.databases",
    "tests.support.expected_skips",
    "tests.support.harness",
    "tests.support.login_shells",
    "tests.support.netns",
    "tests.support.root",
    "tests.support.small_disk",
]
