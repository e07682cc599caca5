"""dlt's extraction of one Postgres table to Parquet on local disk, by the backend given.

Usage: python -m bench.peers.dlt_ingest DSN TABLE FOLDER BACKEND. Prints the rows that arrived.
dlt writes plain Parquet here; ours also hashes files and stages an Iceberg version: the comparison leans dlt's way.
"""

from __future__ import annotations

import sys
from pathlib import Path

import dlt
import pyarrow.parquet as pq
from dlt.sources.sql_database import sql_table


def ingest(dsn: str, table: str, folder: Path, backend: str) -> int:
    """Rows in the files dlt wrote."""
    extra = {"backend_kwargs": {"return_type": "arrow"}} if backend == "connectorx" else {}
    credentials = dsn.replace("postgresql://", "postgresql+psycopg2://", 1)
    source = sql_table(
        credentials=credentials, table=table, backend=backend, chunk_size=100_000, reflection_level="full", **extra
    )
    pipeline = dlt.pipeline(
        "peer",
        destination=dlt.destinations.filesystem(bucket_url=str(folder / "out")),
        dataset_name="peer",
        pipelines_dir=str(folder / "state"),
    )
    pipeline.run(source, loader_file_format="parquet", write_disposition="replace")
    return sum(pq.read_metadata(file).num_rows for file in (folder / "out").rglob(f"{table}/*.parquet"))


if __name__ == "__main__":
    print(ingest(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4]))
