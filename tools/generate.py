"""Writes the files that are generated from code, or proves them fresh.

`make generate` writes them; `make check` runs it with --check, which names stale files and ends with 1.
A new generated file is one more line in GENERATED.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli_page import cli_page
from settings_page import settings_page

from opscore.specs.schema import pipeline_schema

ROOT = Path(__file__).resolve().parent.parent


def as_json(content: dict[str, Any]) -> str:
    """JSON as it is committed."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


GENERATED: dict[str, Callable[[], str]] = {
    "contracts/pipeline.schema.json": lambda: as_json(pipeline_schema()),
    "docs/reference/cli.md": cli_page,
    "docs/reference/settings.md": settings_page,
}


def stale(root: Path) -> dict[Path, str]:
    """Files that are missing or differ from what code says, with what they should hold."""
    wanted = {root / name: make() for name, make in GENERATED.items()}
    return {
        path: text for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    }


def main() -> int:
    """Write stale files, or name them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; name stale files and end with 1")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository (default: this one)")
    arguments = parser.parse_args()
    found = stale(arguments.root)
    for path, text in found.items():
        name = path.relative_to(arguments.root)
        if arguments.check:
            print(f"{name} is stale: run `make generate` and commit it", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}", file=sys.stderr)
    return 1 if found and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
