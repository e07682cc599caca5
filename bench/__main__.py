"""Runs the benchmarks one after the other on one durable Postgres, prints a table and writes bench/results/.

Usage: python -m bench [SUITE]… [--full]. Without names: all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys

from bench.report import Result, table, write
from lakehouse.embedded.throwaway import throwaway_postgres

SUITES = ("lifecycle", "starts", "history", "caps", "takeover", "ingest", "stack")


async def run(names: list[str], *, full: bool) -> list[Result]:
    """All results of the suites named."""
    results: list[Result] = []
    async with throwaway_postgres(durable=True) as postgres:
        for name in names:
            sys.stderr.write(f"bench: {name}\n")
            results += await importlib.import_module(f"bench.{name}").measure(postgres, full=full)
    return results


def main() -> None:
    """Exit 0 when every target that was measured was met, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*SUITES, []], default=[], metavar="SUITE", help=" ".join(SUITES))
    parser.add_argument("--full", action="store_true", help="ten times the data")
    given = parser.parse_args()
    results = asyncio.run(run(given.names or list(SUITES), full=given.full))
    path = write(results)
    print(table(results))
    print(f"\n{path}")
    sys.exit(0 if all(result.met is not False for result in results) else 1)


if __name__ == "__main__":
    main()
