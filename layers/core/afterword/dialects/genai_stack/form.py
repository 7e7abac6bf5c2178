"""The form of a submission, read into its inputs.

The documentation has a list of (`input_key`, `input_value`) pairs and says no more, so this much is
ours. The n-th `input_key` belongs to the n-th `input_value`, in whatever order they come; a field
of any other name is an input of that name; a form may have both. `input_key` and `input_value` are
therefore no names for a plain field: an app's own input called so is sent as a pair. In JSON the
pairs may be a list of objects. How a body is read into fields is afterword.handlers.forms's.
"""

from collections.abc import Iterator

from afterword.errors import InvalidRequestError
from afterword.files import Upload
from afterword.handlers import forms
from afterword.handlers.forms import Field

_KEY, _VALUE = "input_key", "input_value"


def parse(content_type: str, body: bytes) -> list[tuple[str, str | Upload]]:
    """Return the inputs of a request, (key, value), in the order sent; a key may be repeated.

    Raises InvalidRequestError as form_body.read does.
    """
    return _inputs(forms.read(content_type, body, _pairs).fields)


def _inputs(fields: list[Field]) -> list[tuple[str, str | Upload]]:
    """Return the inputs that fields stand for; a pair stands where its key does."""
    keys = [value for name, value in fields if name == _KEY]
    values = [value for name, value in fields if name == _VALUE]
    if len(keys) != len(values):
        raise InvalidRequestError(
            f"{_KEY} is there {len(keys)} times and {_VALUE} {len(values)} times: "
            "each key needs one value."
        )
    pairs = enumerate(zip(keys, values, strict=True), 1)
    inputs = []
    for name, value in fields:
        if name == _KEY:
            number, (key, paired) = next(pairs)
            if not isinstance(key, str):
                raise InvalidRequestError(f"{_KEY} (pair {number}): it must be a text.")
            forms.check_name(key, f"{_KEY} (pair {number})")
            if paired is not None:
                inputs.append((key, paired))
        elif name != _VALUE and value is not None:
            inputs.append((name, value))
    return inputs


def _pairs(sent: object) -> Iterator[Field]:
    """Yield the fields of pairs that are sent as a list of objects."""
    if not isinstance(sent, list):
        raise InvalidRequestError(
            f"The body must be a JSON object, or a list of objects with {_KEY} and {_VALUE}."
        )
    for number, item in enumerate(sent, 1):
        if not (isinstance(item, dict) and isinstance(item.get(_KEY), str) and _VALUE in item):
            raise InvalidRequestError(
                f"Item {number} of the JSON list: it must be an object that has "
                f"{_KEY}, a string, and {_VALUE}."
            )
        for text in forms.json_texts(item[_VALUE], f"{_VALUE} (item {number})"):
            yield _KEY, item[_KEY]
            yield _VALUE, text
