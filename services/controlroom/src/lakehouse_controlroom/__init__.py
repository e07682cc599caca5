"""Owns the conversation with people: HTTP API and page."""
