"""Makes the shared fixtures and rules of tests/support available to every test. Fixtures themselves live there."""

pytest_plugins = [
    "tests.support.expected_skips",
    "tests.support.harness",
    "tests.support.netns",
    "tests.support.postgres",
    "tests.support.root",
]
