"""Pure rules and frozen values: no clock, no randomness, no I/O."""
