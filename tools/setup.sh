#!/usr/bin/env bash
# Makes .venv from the lock. Called by make; needs Python >= 3.11 with venv and the package index only.
set -euo pipefail
python=$1 venv=$2
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "setup: $python is missing or older than 3.11. Install Python 3.11 with venv, or run make PYTHON=/path/to/python3.11." >&2
  exit 1
fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
if command -v uv >/dev/null 2>&1; then
  uv=$(command -v uv)
else
  uv="$venv/bin/uv"
  if [ ! -x "$uv" ]; then
    awk '/^uv==/ {own = 1; print; next} own && /^ +--hash/ {print; next} {own = 0}' requirements.lock >"$venv/uv.txt"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$venv/uv.txt"
  fi
fi
export VIRTUAL_ENV="$root/$venv"
"$uv" pip sync --quiet --require-hashes --link-mode "${UV_LINK_MODE:-hardlink}" requirements.lock
members=()
for member in libs/* services/* apps/*; do members+=(-e "$member"); done
"$uv" pip install --quiet --no-deps --no-build-isolation "${members[@]}"
