"""Where the embedded stack keeps what it writes: all of it under .local/ and .aws-sam/."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.terminal import LocalError

ROOT = Path(__file__).resolve().parents[1]
LOCAL = ROOT / ".local"
BUILD = ROOT / ".aws-sam"
ANNOUNCED = LOCAL / "dev.json"  # the stack that was started last

NEEDED_BYTES = 500 * 1024 * 1024


@dataclass(frozen=True)
class Place:
    """The folder of one running stack, named by its port: logs, temporary files, dev.json."""

    folder: Path

    @classmethod
    def of(cls, port: int) -> "Place":
        """Return the place of the stack on `port`, which need not exist yet."""
        return cls(LOCAL / str(port))

    @property
    def tmp(self) -> Path:
        """Temporary files of the stack's processes; gone when it stops."""
        return self.folder / "tmp"

    @property
    def announcement(self) -> Path:
        """This stack's own dev.json."""
        return self.folder / "dev.json"

    def log(self, name: str) -> Path:
        """Return the log file of one process."""
        return self.folder / f"{name}.log"

    def prepare(self) -> None:
        """Make the folder anew, with nothing of an earlier stack in it.

        Raises LocalError when the disk has not enough room for a build and a run.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        self.tmp.mkdir(parents=True)
        BUILD.mkdir(exist_ok=True)
        for folder in (self.folder, BUILD):
            free = shutil.disk_usage(folder).free
            if free < NEEDED_BYTES:
                raise LocalError(
                    f"the disk is full: {free // 2**20} MB are free under {folder} and the stack"
                    f" needs {NEEDED_BYTES // 2**20} MB: make room and start again"
                )

    def announce(self, facts: dict[str, Any]) -> None:
        """Write dev.json, the stack's own and the one of the stack started last."""
        for path in (self.announcement, ANNOUNCED):
            replace(path, json.dumps(facts, indent=2) + "\n")

    def withdraw(self) -> None:
        """Remove what this stack announced, and its temporary files."""
        own = read(self.announcement)
        if own and read(ANNOUNCED).get("pids") == own.get("pids"):
            ANNOUNCED.unlink(missing_ok=True)
        self.announcement.unlink(missing_ok=True)
        shutil.rmtree(self.tmp, ignore_errors=True)


def remove_stale_announcement() -> None:
    """Remove the dev.json of a stack that no longer runs."""
    facts = read(ANNOUNCED)
    if facts and not Path(f"/proc/{facts['pids']['dev']}").exists():
        ANNOUNCED.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any]:
    """Return an announcement, {} when there is none or it is not one."""
    try:
        facts = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return facts if isinstance(facts, dict) and "pids" in facts else {}


def replace(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)
