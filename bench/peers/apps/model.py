"""The call of the model behind the OpenAI chat API, as each peer's worker makes it."""

import os
from typing import Any

URL = f"{os.environ['MODEL_URL']}/chat/completions"
AT_ONCE = 50
"""The generations that a worker runs at once."""


def build_request(text: str) -> dict[str, Any]:
    """Return the body of a request."""
    return {"model": "slow", "messages": [{"role": "user", "content": text}]}


def read_answer(answer: dict[str, Any]) -> str:
    """Return the text of an answer."""
    text: str = answer["choices"][0]["message"]["content"]
    return text
