"""Owns delivery: turns alerts into notifications that reach a person once."""
