"""The heart all services share: loop, beat, supervision, leadership."""
