"""The one door to Postgres: asyncpg lives here and nowhere else."""
