"""Protocols between the domain and the world; each has a real and an in-memory implementation."""
