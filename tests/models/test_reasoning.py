"""A model's reasoning within its text: which part stays private, and which is the answer."""

import pytest

from afterword.models.reasoning import find_order, separate_reasoning

ANSWER = "Dear Jane"


@pytest.mark.parametrize(
    "text",
    [
        "<think>SECRET</think>Dear Jane",
        "<think>\nSECRET\n</think>\n\nDear Jane",
        "\n <think>SECRET</think> Dear Jane",
        "<thinking>SECRET</thinking>\nDear Jane",
        "<THINK>SECRET</Think>Dear Jane",
        "<think >SECRET</think >Dear Jane",
        "<thought>SECRET</thought>Dear Jane",
        '<think time="3s" mode=deep>SECRET</think>Dear Jane',
        "<thinking lang='en'>SECRET</thinking>Dear Jane",
        "<seed:think>SECRET</seed:think>Dear Jane",
        "[THINK]SECRET[/THINK]Dear Jane",
        "◁think▷SECRET◁/think▷Dear Jane",
        "<|begin_of_thought|>SECRET<|end_of_thought|>Dear Jane",
        "<think></think>Dear Jane",
        "<think>SECRET</think>\n<think>SECRET</think>\nDear Jane",
        "<think>SECRET<think>SECRET</think>SECRET</think>Dear Jane",
        '<think>The mail says "yes"</think>Dear Jane',
        "<think>```python\nSECRET</think>Dear Jane",
        "SECRET</think>Dear Jane",
        "\nSECRET\n</think>\n\nDear Jane",
        'The mail says "yes"</think>Dear Jane',
        "SECRET ```\nSECRET</think>Dear Jane",
        "SECRET</think><think>SECRET</think>Dear Jane",
        "<|channel|>analysis<|message|>SECRET<|end|><|channel|>final<|message|>Dear Jane<|return|>",
        "<|start|>assistant<|channel|>final<|message|>Dear Jane",
        "analysisSECRETassistantfinalDear Jane",
    ],
)
def test_the_answer_is_left_without_the_reasoning(text: str) -> None:
    """Whichever marks a model gives its reasoning, the answer alone is left."""
    separated = separate_reasoning(text)
    assert (separated.text, separated.reasoned) == (ANSWER, True)


@pytest.mark.parametrize(
    "text",
    [
        "<think>",
        "<think>\nSECRET",
        "  <thinking>SECRET",
        "[THINK]SECRET",
        "<think>SECRET</think><think>SECRET",
        "SECRET</think>",
        "<thin",
        "<|channel|>analysis<|message|>SECRET",
        "<|chan",
    ],
)
def test_reasoning_that_was_cut_leaves_nothing(text: str) -> None:
    """An answer that ended while the model reasoned has no text."""
    assert separate_reasoning(text).text == ""


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Sure!\n<think>SECRET</think>\nDear Jane", "Sure!\n\nDear Jane"),
        ("Sure! <think>SECRET</think> Dear Jane", "Sure!  Dear Jane"),
        ("Dear Jane\n<think>SECRET", "Dear Jane\n"),
        ("```\nx\n```\n<think>SECRET</think>Dear Jane", "```\nx\n```\nDear Jane"),
    ],
)
def test_a_block_inside_the_text_is_taken_out(text: str, left: str) -> None:
    """A model that reasons between sentences keeps its reasoning private, too."""
    assert separate_reasoning(text).text == left


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Dear Jane",
        "I think so. </b>",
        "<b>think</b>",
        "Write `<think>` first and `</think>` last.",
        "Write `<think>notes</think>`.",
        'The tags are "<think>" and "</think>".',
        "```xml\n<think>notes</think>\n```\nThat is all.",
        "Dear Jane, the tag <think> begins it.",
        "analysis of the mail",
        "<table>",
        "<think about it>Dear Jane</b>",
        "<thinker>Dear Jane</thinker>",
    ],
)
def test_a_text_about_tags_stays_as_it_is(text: str) -> None:
    """Quoted tags, tags in code and a tag in a sentence are part of an answer."""
    assert separate_reasoning(text) == (text, False, False)


@pytest.mark.parametrize(
    ("text", "unopened"),
    [
        ("SECRET</think>Dear Jane", True),
        ("<think>SECRET</think>Dear Jane", False),
        ("<think>SECRET</think>SECRET</think>Dear Jane", False),
        ("Dear Jane", False),
    ],
)
def test_reasoning_without_an_opening_tag_is_told_apart(text: str, unopened: bool) -> None:  # noqa: FBT001
    """A text that begins with reasoning belongs to a model whose template has the tag."""
    assert separate_reasoning(text).unopened is unopened


@pytest.mark.parametrize(
    ("text", "free", "reasons_first"),
    [
        ("SECRET</think>Dear Jane", True, True),
        ("SECRET</think>Dear Jane", False, True),
        ("Dear Jane", True, False),
        ("Dear Jane", False, None),
        ("<think>SECRET</think>Dear Jane", True, None),
        (" ", True, None),
    ],
)
def test_a_text_shows_the_order_of_a_model_s_reasoning(
    text: str,
    free: bool,  # noqa: FBT001
    reasons_first: bool | None,  # noqa: FBT001
) -> None:
    """Only a finished text of words shows that its model does not begin with reasoning."""
    assert find_order(separate_reasoning(text), free=free) is reasons_first
