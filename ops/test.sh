#!/usr/bin/env bash
# What `make test` and CI run once the set-up stands: rules, types, board, containers, then the tests on the built
# wheel with real servers. Stops at the first failure; always stops the test servers.
set -euo pipefail
cd "$(dirname "$0")/.."

stop_servers() {
    .venv/bin/python -m carbonstream.ops.local down --profile test
}
trap stop_servers EXIT

printf '\n== format, lint, types, board, containers\n'
make --no-print-directory -j2 --output-sync=target lint types board-checks container-checks

printf '\n== tests\n'
mkdir -p .build
# A broker of tests ends before what Java's second compiler does for it has paid off.
export JDK_JAVA_OPTIONS="${JDK_JAVA_OPTIONS:-} -XX:TieredStopAtLevel=1"
# A test waits for a service now and then, so one more runs than there are cores, at most eight on one pair of servers;
# those of one file one after the other.
cores=$(nproc)
.venv/bin/pytest -n $((cores < 7 ? cores + 1 : 8)) --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered "$@" | tee .build/pytest.log
# pytest itself is content when every test was skipped.
tail -n 1 .build/pytest.log | grep -qE '[0-9]+ passed' || { echo "no test ran" >&2; exit 1; }
