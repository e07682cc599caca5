"""Stand-ins for the world: a control plane in memory, a clock that tests move, factories, and the conformance suite."""
