"""The check of sentences bites, and finds nothing in what is checked."""

from pathlib import Path

import pytest

from audit import prose

BAD = {
    '"""It reads a file."""': "It reads a file.",
    '"""Reads a file.\n\nWhat is read is kept.\n"""': "What is read is kept.",
    "SIZE = 1\n'''The size; nobody changes it.'''": "nobody changes it.",
    "def read():\n    '''Return what the file says.'''": "Return what the file says.",
    "def read():\n    '''Yields what it finds.'''": "Yields what it finds.",
    "def read():\n    '''Return whether it is a file.'''": "Return whether it is a file.",
    "size = 1  # they are bytes": "they are bytes",
    "# The size in bytes.\n# Somebody reads it.": "Somebody reads it.",
    "logger.warning('it was lost', extra={})": "it was lost",
    "raise FileError(f'{path}: it is no file.')": "it is no file.",
    "raise UnprocessableError(name, 'it is missing.')": "it is missing.",
    "raise errors.FileError('Who reads this?')": "Who reads this?",
}
"""Files with one bad sentence, and that sentence."""
GOOD = (
    '"""Reads a file, as it is; return the bytes that it has."""',
    "def read():\n    '''Return the bytes.'''",
    "def read():\n    '''Return whether the file is there.'''",
    "text = 'It is no message'",
    "# Itemised: every whoop, whatnot and whole.",
    "logger.info('read a file, which it was')",
)


@pytest.mark.parametrize(("source", "sentence"), BAD.items())
def test_a_bad_sentence_is_found(tmp_path: Path, source: str, sentence: str) -> None:
    """A sentence in a docstring, comment or message does not begin with a pronoun."""
    path = tmp_path / "module.py"
    path.write_text(source)
    assert [finding.sentence for finding in prose.check(path)] == [sentence]


@pytest.mark.parametrize("source", GOOD)
def test_a_good_sentence_is_passed_over(tmp_path: Path, source: str) -> None:
    """Pronouns within a sentence, and strings that are no messages, are nobody's business."""
    path = tmp_path / "module.py"
    path.write_text(source)
    assert prose.check(path) == []


def test_a_finding_has_the_line_of_its_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A finding names the file and the line on which its docstring or comment begins."""
    (tmp_path / "module.py").write_text("size = 1\n\n# Bytes.\n# Nobody counts them.\n")
    assert prose.main([str(tmp_path)]) == 1
    assert capsys.readouterr().err.endswith("/module.py:3: Nobody counts them.\n")


def test_the_checked_folders_are_clean(capsys: pytest.CaptureFixture[str]) -> None:
    """No sentence of the checked folders begins with a pronoun."""
    assert (prose.main([]), capsys.readouterr().err) == (0, "")
