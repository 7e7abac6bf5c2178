"""Packed texts: shorter where they can be, and always the same text again."""

import pytest

from afterword.runtime.packing import SHORT_BYTES, pack, unpack
from tests.harness.seeds import seeded

PROSE = "My contract ends next month, and I have not heard from you. " * 20


@pytest.mark.parametrize("text", ["", "Hello", "é😀", "x" * SHORT_BYTES, PROSE, PROSE + "é😀"])
def test_a_packed_text_is_the_same_again(text: str) -> None:
    """Texts of any length and any characters come back as they were."""
    assert unpack(pack(text)) == text


def test_a_short_text_stays_readable() -> None:
    """A text of few bytes is no shorter when compressed, and is stored as it is."""
    assert pack("x" * SHORT_BYTES) == {"S": "x" * SHORT_BYTES}


def test_a_long_text_takes_less() -> None:
    """Prose is compressed."""
    assert len(pack(PROSE)["B"]) < len(PROSE) / 2


def test_what_cannot_be_compressed_stays_as_it_is() -> None:
    """A text that would be longer when compressed is stored as it is."""
    noise = "".join(map(chr, seeded(1).choices(range(32, 127), k=SHORT_BYTES + 1)))
    assert pack(noise) == {"S": noise}
    assert unpack({"S": noise}) == noise
