"""Quality rules against staged tables: one file for each kind, all called through `evaluate`."""
