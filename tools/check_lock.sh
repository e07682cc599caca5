#!/usr/bin/env bash
# The lock names versions and hashes, never an address, and carries every dependency the members declare.
set -euo pipefail
cd "$(dirname "$0")/.."
if grep -nE '^[^#]*(https?://|--index-url|--extra-index-url|file:)' requirements.lock; then
  echo "requirements.lock names an address. Resolve it anew: make lock" >&2
  exit 1
fi
.venv/bin/python - <<'PY'
import pathlib, re, sys, tomllib

locked = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in pathlib.Path("requirements.lock").read_text().splitlines() if "==" in line and not line.startswith((" ", "#"))}
members = [pathlib.Path("pyproject.toml"), *pathlib.Path().glob("libs/*/pyproject.toml"), *pathlib.Path().glob("services/*/pyproject.toml"), *pathlib.Path().glob("apps/*/pyproject.toml")]
own, wanted = set(), set()
for path in members:
    data = tomllib.loads(path.read_text())
    project = data["project"]
    own.add(project["name"])
    groups = [project["dependencies"], *project.get("optional-dependencies", {}).values(), *data.get("dependency-groups", {}).values()]
    wanted |= {re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", item).group()).lower() for group in groups for item in group}
missing = sorted(wanted - own - locked)
if missing:
    sys.exit(f"requirements.lock lacks {', '.join(missing)}. Resolve it anew: make lock")
PY
