"""One handler per phase. Each takes a PhaseContext and returns a JSON-able result, which becomes its checkpoint."""
