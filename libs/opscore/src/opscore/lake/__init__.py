"""The one door to Iceberg: pyiceberg lives here and nowhere else."""
