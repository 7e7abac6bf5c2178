"""A share of a processor's time for some processes, by a control group of Linux (root only)."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PERIOD = 20_000
"""Microseconds in which a share is used up, and then waited for."""
FULL_MEGABYTES = 1_769
"""Memory with which a function of Lambda has one whole processor.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
"""
ROOT = Path("/sys/fs/cgroup")


@contextmanager
def cpu_of(megabytes: int) -> Iterator[Path]:
    """Give the file that a process writes its id into, to have the CPU of so much memory.

    The groups of both versions of Linux's interface are known. Exits where none can be made.
    """
    quota = PERIOD * megabytes // FULL_MEGABYTES
    unified = (ROOT / "cgroup.controllers").exists()
    try:
        if unified:
            (ROOT / "cgroup.subtree_control").write_text("+cpu")
        group = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT if unified else ROOT / "cpu"))
    except OSError as error:
        sys.exit(f"No control group of CPU time can be made here, which root may do: {error}")
    try:
        if unified:
            (group / "cpu.max").write_text(f"{quota} {PERIOD}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        yield group / "cgroup.procs"
    finally:
        group.rmdir()
