"""`python -m carbonstream.ops.local.binaries`: fetches the servers' programs, starting nothing.

`make setup` runs it beside pip, so it needs nothing but Python.
"""

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from carbonstream.ops.local import kafka, postgres_root
from carbonstream.ops.local.errors import LocalError
from carbonstream.ops.local.process import end_at_once_on_interrupt
from carbonstream.ops.local.runtime import runtime_folder


def fetch_all(runtime: Path) -> None:
    """Both at once; raises LocalError of the first that failed."""
    with ThreadPoolExecutor() as threads:
        running: list[Future[object]] = [
            threads.submit(kafka.archive_classes, runtime, lambda step: print(f"kafka: {step}", flush=True)),
            threads.submit(
                postgres_root.install, runtime, lambda step: print(f"postgres: {step}", flush=True)
            ),
        ]
    for future in running:
        future.result()


if __name__ == "__main__":
    end_at_once_on_interrupt()
    try:
        fetch_all(runtime_folder())
    except LocalError as error:
        sys.exit(str(error))
