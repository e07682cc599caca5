"""Where data comes from: one file per kind of source."""
