"""Owns judgement: turns events into signals and scores."""
