"""The output of a completion in a response."""

import json

from afterword.generations import Completion, Output
from afterword.runtime.json_text import JsonText, render


def render_output(completion: Completion) -> JsonText:
    """Return the text as a JSON string, or as the JSON of an array or an object."""
    text = completion.text
    return JsonText(render(text if completion.output is Output.STRING else json.loads(text)))
