#!/usr/bin/env bash
# Resolves the one lock for every member, the tests and the bench peers. Hashes in, addresses out.
set -euo pipefail
cd "$(dirname "$0")/.."
UV_CUSTOM_COMPILE_COMMAND="make lock" "${UV:-.venv/bin/uv}" pip compile pyproject.toml libs/opscore/pyproject.toml services/*/pyproject.toml apps/lakehouse/pyproject.toml tools/uv.in \
  --group pyproject.toml:dev --group pyproject.toml:bench --all-extras \
  --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
  --no-emit-package opscore --no-emit-package lakehouse \
  --no-emit-package lakehouse-dispatcher --no-emit-package lakehouse-executor --no-emit-package lakehouse-scorer \
  --no-emit-package lakehouse-notifier --no-emit-package lakehouse-controlroom \
  --output-file requirements.lock "$@"
