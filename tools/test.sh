#!/usr/bin/env bash
# Passes the tests. Without arguments: everything, then the database suites once more on the wheel's Postgres (but for two long ones).
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin

if [ $# -gt 0 ]; then
  exec "$bin/pytest" "$@"
fi
"$bin/pytest" -n 2 --dist loadfile tests/unit tests/contract tests/integration tests/model
LAKEHOUSE_TEST_PG=wheel "$bin/pytest" -n 2 --dist loadfile tests/integration/control_plane tests/integration/conformance tests/integration/embedded \
  --ignore tests/integration/control_plane/test_people.py --ignore tests/integration/control_plane/test_row_plans.py
"$bin/pytest" tests/acceptance tests/upgrade
"$bin/pytest" tests/chaos -s
