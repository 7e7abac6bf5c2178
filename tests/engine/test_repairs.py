"""The repair question: the turns in which a model is told what is wrong with its answer."""

import pytest

from afterword.engine.repairs import build_repair
from afterword.models import Attachment, Prompt

IMAGE = Attachment(media_type="image/png", content=b"x")
COMPLAINT = "At the top: name is missing."


def make_prompt(user: str) -> Prompt:
    """Return a prompt of a structured step with an image."""
    return Prompt(
        system="",
        user=user,
        schema={"type": "object"},
        model="m",
        max_tokens=60,
        temperature=None,
        attachments=(IMAGE,),
    )


def test_a_question_and_its_answer_are_an_earlier_turn() -> None:
    """The complaint is the question after them, and the files stay with the prompt."""
    repair = build_repair(make_prompt("Who is it?"), "{}", COMPLAINT)
    (turn,) = repair.turns
    assert (turn.question, turn.answer) == ("Who is it?", "{}")
    assert COMPLAINT in repair.user
    assert repair.attachments == (IMAGE,)


@pytest.mark.parametrize("user", ["", " \n"])
@pytest.mark.parametrize("answer", ["{}", ""])
def test_no_turn_of_a_step_with_an_image_alone_is_blank(user: str, answer: str) -> None:
    """A question that consists of files has words where it is an earlier one."""
    repair = build_repair(make_prompt(user), answer, COMPLAINT)
    assert repair.user.strip().startswith("The answer cannot be used.")
    assert all(turn.question.strip() and turn.answer.strip() for turn in repair.turns)
