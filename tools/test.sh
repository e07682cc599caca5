#!/usr/bin/env bash
# Passes the tests. Without arguments: everything, then the database suites once more on the Postgres of the wheel.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin

if [ $# -gt 0 ]; then
  exec "$bin/pytest" "$@"
fi
"$bin/pytest" -n 2 --dist loadfile tests/unit tests/contract tests/integration tests/model
LAKEHOUSE_TEST_PG=wheel "$bin/pytest" -n 2 --dist loadfile tests/integration/control_plane tests/integration/conformance tests/integration/embedded
"$bin/pytest" tests/acceptance tests/upgrade
"$bin/pytest" tests/chaos -s
