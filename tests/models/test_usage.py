"""The tokens of an answer, from whatever a provider counts."""

from dataclasses import replace

import pytest

from afterword.models import Attachment, ChatTurn, Prompt
from afterword.models.usage import (
    TOKENS_PER_FILE,
    Usage,
    estimate_tokens,
    has_counts,
    read_usage,
)

PROMPT = Prompt(
    system="x" * 30,
    user="y" * 60,
    schema=None,
    model="m",
    max_tokens=60,
    temperature=None,
    turns=(ChatTurn(question="z" * 6, answer="z" * 3),),
)
ANSWER = ("w" * 30,)
ESTIMATED_IN, ESTIMATED_OUT = 33, 10


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 11, "completion_tokens": 3}, (11, 3)),
        ({"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}, (11, 3)),
        ({"input_tokens": 11, "output_tokens": 3}, (11, 3)),
        ({"inputTokens": 11, "outputTokens": 3, "totalTokens": 14}, (11, 3)),
        ({"promptTokenCount": 11, "candidatesTokenCount": 3}, (11, 3)),
        ({"prompt_eval_count": 11, "eval_count": 3}, (11, 3)),
        ({"prompt_tokens": 10.2, "completion_tokens": 2.5}, (11, 3)),
        ({"prompt_tokens": "11", "completion_tokens": "3"}, (11, 3)),
        ({"prompt_tokens": None, "input_tokens": 11, "output_tokens": 3}, (11, 3)),
        ({"prompt_tokens": 11, "total_tokens": 14}, (11, 3)),
        ({"completion_tokens": 3, "total_tokens": 14}, (11, 3)),
        (
            {
                "inputTokens": 4,
                "outputTokens": 3,
                "totalTokens": 14,
                "cacheReadInputTokens": 5,
                "cacheWriteInputTokens": 2,
            },
            (11, 3),
        ),
        ({"inputTokens": 4, "outputTokens": 3, "cacheReadInputTokens": 7}, (11, 3)),
        (
            {"inputTokens": 11, "outputTokens": 3, "totalTokens": 14, "cacheReadInputTokens": 7},
            (11, 3),
        ),
    ],
)
def test_a_provider_s_count_is_taken(usage: object, tokens: tuple[int, int]) -> None:
    """Numbers count under each provider's names, fractions rounded up."""
    assert read_usage(usage, PROMPT, ANSWER) == Usage(*tokens, estimated=False)


@pytest.mark.parametrize(
    ("usage", "tokens_out"),
    [
        (
            {
                "prompt_tokens": 11,
                "completion_tokens": 103,
                "total_tokens": 114,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
            103,
        ),
        (
            {
                "prompt_tokens": 11,
                "completion_tokens": 3,
                "total_tokens": 114,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
            103,
        ),
        (
            {
                "input_tokens": 11,
                "output_tokens": 3,
                "output_tokens_details": {"reasoning_tokens": 100},
            },
            103,
        ),
        ({"prompt_tokens": 11, "completion_tokens": 3, "reasoning_tokens": 100}, 103),
        ({"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 114}, 103),
        ({"prompt_tokens": 11, "completion_tokens": 3, "completion_tokens_details": None}, 3),
        ({"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 5}, 3),
    ],
)
def test_reasoning_tokens_are_counted_once(usage: object, tokens_out: int) -> None:
    """Reasoning that a provider counts beside the answer is added, and else is in it."""
    assert read_usage(usage, PROMPT, ANSWER) == Usage(11, tokens_out)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        [],
        "usage",
        7,
        {"prompt_tokens": None, "completion_tokens": None},
        {"prompt_tokens": -1, "completion_tokens": -3},
        {"prompt_tokens": float("nan"), "completion_tokens": float("inf")},
        {"prompt_tokens": True, "completion_tokens": False},
        {"prompt_tokens": "many", "completion_tokens": "²"},
        {"prompt_tokens": [11], "completion_tokens": {"n": 3}},
        {"prompt_tokens": 10**400, "completion_tokens": 10**10},
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    ],
)
def test_a_count_that_is_none_is_estimated(usage: object) -> None:
    """Without numbers the tokens are those of the texts, and marked as estimated."""
    assert read_usage(usage, PROMPT, ANSWER) == Usage(ESTIMATED_IN, ESTIMATED_OUT, estimated=True)


def test_the_missing_number_alone_is_estimated() -> None:
    """A number that is there stays."""
    usage = {"prompt_tokens": 11, "completion_tokens": None}
    assert read_usage(usage, PROMPT, ANSWER) == Usage(11, ESTIMATED_OUT, estimated=True)


def test_no_answer_has_no_tokens() -> None:
    """A zero for an answer without a character is no estimate."""
    usage = {"prompt_tokens": 11, "completion_tokens": 0}
    assert read_usage(usage, PROMPT, ("",)) == Usage(11, 0, estimated=False)


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("four", 2), ("四", 1), ("\ud83d", 1), ("é" * 3, 2)]
)
def test_an_estimate_is_above_most_counts(text: str, tokens: int) -> None:
    """A token is three bytes: less than an English one has, and a Chinese character."""
    assert estimate_tokens([text]) == tokens


def test_files_are_in_the_estimate() -> None:
    """A file that goes to the model as it is counts as much as a large image."""
    image = Attachment(media_type="image/png", content=b"x")
    prompt = replace(PROMPT, attachments=(image, image))
    expected = Usage(ESTIMATED_IN + 2 * TOKENS_PER_FILE, ESTIMATED_OUT, estimated=True)
    assert read_usage(None, prompt, ANSWER) == expected


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 11}, True),
        ({"completion_tokens": 3, "prompt_tokens": 0}, True),
        ({"prompt_tokens": 0, "completion_tokens": 0}, False),
        ({}, False),
        (None, False),
        ([11], False),
    ],
)
def test_a_usage_without_a_number_counts_nothing(usage: object, counted: bool) -> None:  # noqa: FBT001
    """An answer that failed was paid for where there is a number above zero."""
    assert has_counts(usage) is counted
