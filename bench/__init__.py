"""Benchmarks: ours and a named peer, side by side in one run on the same Postgres. `make bench` runs them."""
