#!/usr/bin/env bash
# Everything that can be judged without running the product. Prints each judge's name; stops at the first that objects.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin

step() {
  printf '%s\n' "check: $1" >&2
  shift
  "$@"
}

step "ruff" "$bin/ruff" check --quiet .
step "ruff format" "$bin/ruff" format --check --quiet .
step "pyright" "$bin/pyright"
step "import-linter" "$bin/lint-imports" --no-cache
step "generated files" "$bin/python" tools/generate.py --check
step "pipeline specs" "$bin/lakehouse" pipeline validate pipelines/*.yaml --quiet
step "squawk" "$bin/squawk" --config tools/squawk.toml supabase/migrations/*.sql
step "sqlfluff" "$bin/sqlfluff" lint --processes 1 libs/opscore/src/opscore/db/queries
step "yamllint" "$bin/yamllint" --strict -c tools/yamllint.yaml pipelines contracts .github
step "openapi" "$bin/python" -m openapi_spec_validator contracts/lakehouse-executor.openapi.yaml
step "markdown" "$bin/pymarkdown" --config tools/markdown.json scan README.md docs contracts pipelines
step "lock" tools/check_lock.sh
echo "check: all is well" >&2
