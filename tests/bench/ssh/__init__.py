"""The benchmark of SSH: what `scripts/bench/ssh` measures, and with what."""
