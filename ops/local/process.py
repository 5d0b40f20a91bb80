"""Detached server processes: started in sessions of their own, known by pid and start time, surely ended."""

import contextlib
import os
import select
import signal
import time
from dataclasses import dataclass
from os.path import samestat
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """A process for ever: its pid is used again, the pair of pid and start (boot id, clock ticks) is not."""

    pid: int
    started: str


def identify(pid: int) -> Process | None:
    """The living process with this pid; a zombie counts as gone, its parent may never collect it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # proc(5): the name in brackets may hold anything, so count from the last ")": field 3 is the state, field
    # 22 the start time in clock ticks since boot.
    fields = stat.rpartition(")")[2].split()
    # a killed JVM's main thread is a zombie while other threads still hold the port: gone only when it is alone
    if fields[0] == "X" or (fields[0] == "Z" and fields[17] == "1"):
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Process(pid, f"{boot}/{fields[19]}")


def alive(process: Process | None) -> bool:
    """Whether this very process still runs."""
    return process is not None and identify(process.pid) == process


def spawn(argv: list[str], log: Path) -> Process:
    """Starts a program in a session of its own, its output appended to `log`; it outlives us."""
    log.parent.mkdir(parents=True, exist_ok=True)
    pid = os.posix_spawn(
        argv[0],
        argv,
        os.environ,
        setsid=True,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    process = identify(pid)
    return process if process is not None else Process(pid, "ended at once")


def send(process: Process, sig: signal.Signals) -> None:
    """Signals exactly this process; one that is gone, or whose pid now belongs to another, is left alone."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if alive(process):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, sig)
    finally:
        os.close(handle)


def wait_gone(process: Process, timeout_s: float) -> bool:
    """Waits on the kernel until the process has ended, and collects it where it is our child."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return True
    try:
        if alive(process):
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            poll.poll(timeout_s * 1000)
    finally:
        os.close(handle)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    return not alive(process)


def end_at_once_on_interrupt() -> None:
    """Ctrl-C ends a set-up without waiting for its threads: what is half done is done again the next time."""
    signal.signal(signal.SIGINT, lambda _signal, _frame: os._exit(130))


def end(processes: list[Process], sig: signal.Signals, grace_s: float) -> None:
    """Asks the processes to end, all at once, and kills what is left after the grace."""
    for process in processes:
        send(process, sig)
    deadline = time.monotonic() + grace_s
    late = [process for process in processes if not wait_gone(process, max(0.0, deadline - time.monotonic()))]
    for process in late:
        send(process, signal.SIGKILL)
    for process in late:
        wait_gone(process, timeout_s=10)


def working_in(folder: Path, program: str) -> list[Process]:
    """The living processes whose program file has this name and whose working directory is `folder`.

    So a server is found even when its record was never written (its starter was killed) or its parent died.
    The program's name keeps a shell that somebody opened in the folder out of it. Folders are compared by
    inode, as a server in a chroot has its folder under another path.
    """
    try:
        wanted = folder.stat()
    except FileNotFoundError:
        return []
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if (entry / "exe").readlink().name != program or not samestat((entry / "cwd").stat(), wanted):
                continue
        except OSError:  # ended meanwhile, a kernel thread, or not ours to see
            continue
        process = identify(int(entry.name))
        if process is not None:
            found.append(process)
    return found
