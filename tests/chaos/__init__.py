"""The chaos suite: real programs, real faults, and a proof at the end that nobody was told a lie. See scripts/chaos."""
