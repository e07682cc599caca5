"""Owns the work: carries a run through its phases."""
