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
# A broker of tests ends before what Java's second compiler does for it has paid off.
export JDK_JAVA_OPTIONS="${JDK_JAVA_OPTIONS:-} -XX:TieredStopAtLevel=1"
# Half of the time a test waits for a service, so three run at once; those of one file one after the other.
.venv/bin/pytest -n 3 --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered "$@" | tee .build/pytest.log
# pytest itself is content when every test was skipped.
tail -n 1 .build/pytest.log | grep -qE '[0-9]+ passed' || { echo "no test ran" >&2; exit 1; }
