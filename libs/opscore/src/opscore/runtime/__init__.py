"""The heart all services share: supervision, the wake-scan-work loop, leadership, beats, retries, health."""
