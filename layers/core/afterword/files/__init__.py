"""Files that come with a submission."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file as it was sent. `name` has no folder in it, and is empty if none was sent."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of a generation, in the bucket under `key`; `input` is the input that it is for."""

    input: str
    name: str
    media_type: str
    size: int
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedFile:
    """A file of a submission; `input` is the input that it is for, the type is by its bytes."""

    input: str
    name: str
    media_type: str
    content: bytes
