"""The benchmark of relays: what `scripts/bench/relay` measures, and with what."""
