"""The `lakehouse` command, the SDK and the all-in-one embedded stack."""
