"""Where the embedded stack keeps what it writes: all of it under .local/ and .aws-sam/."""

import json
import os
import shutil
from contextlib import suppress
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
    def layers(self) -> Path:
        """The layers from which the stack's functions import; gone when it stops."""
        return self.tmp / "layers"

    @property
    def announcement(self) -> Path:
        """This stack's own dev.json."""
        return self.folder / "dev.json"

    @property
    def _stopping(self) -> Path:
        return self.folder / "stopping"

    def log(self, name: str) -> Path:
        """Return the log file of one process."""
        return self.folder / f"{name}.log"

    def prepare(self) -> None:
        """Make the folder anew, with nothing of an earlier stack in it, and check the disk."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.tmp.mkdir(parents=True)
        BUILD.mkdir(exist_ok=True)
        self.check_room()

    def check_room(self) -> None:
        """Raise LocalError when the disk has not enough room for a build and a run."""
        for folder in (self.folder, BUILD):
            free = shutil.disk_usage(folder).free
            if free < NEEDED_BYTES:
                raise LocalError(
                    f"the disk is full: {free // 2**20} MB are free under {folder} and the stack"
                    f" needs {NEEDED_BYTES // 2**20} MB: make room and start again"
                )

    def announce(self, facts: dict[str, Any]) -> None:
        """Write this stack's dev.json, and make it the one of the stack started last."""
        replace(self.announcement, json.dumps(facts, indent=2) + "\n")
        announce_newest()

    def leave(self) -> None:
        """Withdraw the announcement, and say that this process is about to stop the stack."""
        self.announcement.unlink(missing_ok=True)
        announce_newest()
        with suppress(OSError):  # a full disk
            replace(self._stopping, str(os.getpid()))

    def is_left(self) -> bool:
        """Whether a stack is being stopped here, whose port will be free and whose files go."""
        try:
            return exists(int(self._stopping.read_text()))
        except FileNotFoundError:
            return False

    def withdraw(self) -> None:
        """Remove the temporary files of a stack that has stopped; its logs stay."""
        shutil.rmtree(self.tmp, ignore_errors=True)
        self._stopping.unlink(missing_ok=True)
        if self.folder.exists() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def announce_newest() -> None:
    """Let .local/dev.json be the newest running stack's, or not be."""
    running = [path for path in LOCAL.glob("*/dev.json") if is_running(read(path))]
    if running:
        replace(ANNOUNCED, max(running, key=lambda path: path.stat().st_mtime).read_text())
    else:
        ANNOUNCED.unlink(missing_ok=True)


def is_running(facts: dict[str, Any]) -> bool:
    """Whether the stack that announced these facts is there still."""
    return bool(facts) and exists(facts["pids"]["dev"])


def exists(pid: int) -> bool:
    """Whether there is a process with this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def read(path: Path) -> dict[str, Any]:
    """Return an announcement, {} when its stack has stopped."""
    try:
        facts: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return facts


def replace(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)
