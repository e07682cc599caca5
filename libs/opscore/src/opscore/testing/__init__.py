"""In-memory stores, the conformance suite every store passes, factories and a movable clock."""
