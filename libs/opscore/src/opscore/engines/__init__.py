"""What executors compute with: one file per engine, one interface."""
