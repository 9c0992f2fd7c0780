"""Which release this is. Imports nothing, so that `edgectl version` starts fast."""

PROGRAM = "0.1.0"
"""Version of the three programs; a test holds it against pyproject.toml."""
