"""Run a command so that no process of it outlives its starter.

Usage: launch.py COMMAND..., with a pipe as standard input that only the starter holds open, as
the leader of a process group. The command takes this process over (same pid). A watcher stays in
the group and waits for the pipe to close; the kernel closes it however the starter ends. Then the
watcher kills the whole group, with the Lambda processes that ministack leaves behind.
"""

import os
import signal
import sys


def main() -> None:
    """Leave a watcher behind and become the command."""
    if os.fork() == 0:
        os.closerange(1, os.sysconf("SC_OPEN_MAX"))  # the command's sockets and log are not ours
        os.read(0, 1)
        os.killpg(0, signal.SIGKILL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the caller's own command, no shell # nosec B606


if __name__ == "__main__":
    main()
