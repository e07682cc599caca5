"""The all-in-one stack: a Postgres of its own and the five services, supervised on one machine."""
