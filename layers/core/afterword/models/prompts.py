"""The last check of a prompt before a model is paid for it."""

from dataclasses import replace
from typing import TYPE_CHECKING

from afterword.generations import Reason
from afterword.models import ChatTurn, ModelRefusedError
from afterword.models.text import replace_surrogates

if TYPE_CHECKING:
    from afterword.models import Prompt


def ready_prompt(prompt: "Prompt") -> "Prompt":
    """Return the prompt as it can be sent, without lone surrogates.

    Raises ModelRefusedError for a blank question: models refuse it, or bill for chatter.
    """
    if not prompt.user.strip() and not prompt.attachments:
        raise ModelRefusedError(
            Reason.BLANK_PROMPT, "The prompt is blank: send an input that is not."
        )
    return replace(
        prompt,
        system=replace_surrogates(prompt.system),
        user=replace_surrogates(prompt.user),
        turns=tuple(
            ChatTurn(
                question=replace_surrogates(turn.question), answer=replace_surrogates(turn.answer)
            )
            for turn in prompt.turns
        ),
    )
