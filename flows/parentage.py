"""Processes that end with the one that started them."""

import atexit
import subprocess

__all__ = ["end_with_us"]


def end_with_us(pid: int) -> None:
    """Have a process killed when this one is gone, even if that is killed itself.

    The shell that sees to it waits for the end of a pipe, which closes with whoever holds it.
    """
    watch = ["/bin/sh", "-c", 'read -r _; kill -KILL "$0"', str(pid)]
    # Not of our group, or what kills that kills it too.
    watcher = subprocess.Popen(
        watch, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    atexit.register(_dismiss, watcher)


def _dismiss(watcher: "subprocess.Popen[bytes]") -> None:
    """In an orderly end, who started a process ends it."""
    watcher.kill()
    watcher.communicate()
