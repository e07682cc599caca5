"""Everything the house can notice, as a closed list; logs and metrics derive from it."""
