"""Learns from history which signals precede trouble. Nothing here changes a weight: what comes of it is a proposal."""
