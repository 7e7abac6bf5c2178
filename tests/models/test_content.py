"""The text of a message's content, whichever form a server gives it."""

import json

import pytest

from afterword.models.content import Content, UnreadableContentError, read_content
from afterword.models.text import replace_surrogates


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Dear Jane", "Dear Jane"),
        ("", ""),
        (None, ""),
        ([], ""),
        (["Dear ", "Jane"], "Dear Jane"),
        ([{"type": "text", "text": "Dear "}, {"type": "text", "text": "Jane"}], "Dear Jane"),
        ([{"type": "output_text", "text": "Dear Jane", "annotations": []}], "Dear Jane"),
        ([{"text": "Dear "}, {"text": "Jane"}], "Dear Jane"),
        ([{"type": "text", "text": {"value": "Dear Jane"}}], "Dear Jane"),
        ({"type": "text", "text": "Dear Jane"}, "Dear Jane"),
        (
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "SECRET"}]},
                {"type": "text", "text": "Dear "},
                {"type": "reference", "reference_ids": [1]},
                {"type": "text", "text": "Jane"},
            ],
            "Dear Jane",
        ),
        ([{"type": "reasoning", "text": "SECRET"}, "Dear Jane"], "Dear Jane"),
        ([{"type": "redacted_thinking", "data": "SECRET"}, "Dear Jane"], "Dear Jane"),
        (
            [
                {"reasoningContent": {"reasoningText": {"text": "SECRET"}}},
                {"text": "Dear "},
                {"citationsContent": {"content": [{"text": "Jane"}], "citations": [{}]}},
            ],
            "Dear Jane",
        ),
        ([{"type": "image_url", "image_url": {"url": "x"}}], ""),
        ([None, 7, [], {}, {"text": None}, {"text": 7}, {"type": 7, "text": 7}], ""),
        ({"items": ["ä"]}, '{"items": ["ä"]}'),
        ({"type": "order", "text": "A lamp"}, '{"type": "order", "text": "A lamp"}'),
        ({"type": "reference", "number": 7}, '{"type": "reference", "number": 7}'),
        ({"text": "A lamp", "number": 7}, '{"text": "A lamp", "number": 7}'),
        ({"text": "Dear Jane"}, "Dear Jane"),
        ({"type": "thinking", "thinking": "SECRET"}, ""),
    ],
)
def test_the_text_parts_are_joined(content: object, text: str) -> None:
    """Texts are joined in order; thinking, references and images are left out."""
    assert read_content(content) == Content(text)


@pytest.mark.parametrize("content", [{"type": "text", "text": "A lamp"}, {"text": "A lamp"}])
def test_an_object_is_the_structured_answer_that_was_asked_for(content: object) -> None:
    """With a schema an object alone is its value, also one like a part; a list has parts."""
    assert json.loads(read_content(content, structured=True).text) == content
    assert read_content([content], structured=True) == Content("A lamp")


def test_a_refusal_is_told_apart_from_the_text() -> None:
    """The words of a refusal are no answer."""
    content = [{"type": "refusal", "refusal": "I cannot."}]
    assert read_content(content) == Content("", "I cannot.")


@pytest.mark.parametrize("content", [7, 1.5, True])
def test_another_content_is_unreadable(content: object) -> None:
    """A number is no text."""
    with pytest.raises(UnreadableContentError):
        read_content(content)


def test_an_object_of_any_depth_is_no_crash() -> None:
    """An object that Python cannot write is unreadable."""
    deep: object = "x"
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(UnreadableContentError):
        read_content(deep)
    read_content([{"citationsContent": {"content": [deep]}}])


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("plain", "plain"),
        ("é😀", "é😀"),
        ("a\ud83d", "a\ufffd"),
        ("\ude00b", "\ufffdb"),
        ("\ud83d\ude00", "😀"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ud83d\ude00", "\ufffd😀"),
        ("\ud83dé", "\ufffdé"),
    ],
)
def test_lone_surrogates_become_replacement_characters(text: str, replaced: str) -> None:
    """Half of a pair is U+FFFD, two halves are their character, and nothing else changes."""
    assert replace_surrogates(text) == replaced
