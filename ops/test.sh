#!/usr/bin/env bash
# What `make test` and CI run once the set-up stands: rules, types, board, containers, then the tests on the built
# wheel with real servers. Stops at the first failure; always stops the test servers.
set -euo pipefail
cd "$(dirname "$0")/.."

step() {
    printf '\n== %s\n' "$1"
    shift
    "$@"
}

stop_servers() {
    .venv/bin/python -m carbonstream.ops.local down --profile test
}
trap stop_servers EXIT

step "format and lint" make --no-print-directory lint
step "types" make --no-print-directory types
step "board" make --no-print-directory board-checks
step "containers" make --no-print-directory container-checks

printf '\n== tests\n'
mkdir -p .build
# Half of the time a test waits for a service, so two run at once; those of one file one after the other.
.venv/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered "$@" | tee .build/pytest.log
# pytest itself is content when every test was skipped.
tail -n 1 .build/pytest.log | grep -qE '[0-9]+ passed' || { echo "no test ran" >&2; exit 1; }
