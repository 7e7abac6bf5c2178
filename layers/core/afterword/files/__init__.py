"""Files that come with a submission."""

from afterword.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file as sent; `name` is without a folder, and empty for a file without a name."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of a generation, in the bucket under `key`, for the input `input`."""

    input: str
    name: str
    media_type: str
    size: int
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedFile:
    """A file of a submission, for the input `input`; its bytes decide the type."""

    input: str
    name: str
    media_type: str
    content: bytes
