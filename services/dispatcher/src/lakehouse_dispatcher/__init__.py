"""Owns time and loss: leases due runs, releases held ones, rescues dead ones."""
