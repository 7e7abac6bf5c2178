"""The form of a submission, read into its inputs.

The service's documentation has a list of (`input_key`, `input_value`) pairs and no rules for them.
Here the n-th `input_key` belongs to the n-th `input_value`, in any order. A field of another name
is an input of that name, and a form may have both. An app's own input with the name `input_key` or
`input_value` is sent as a pair. In JSON the pairs may be a list of objects. The module
afterword.handlers.forms reads a body into fields.
"""

from collections.abc import Iterator

from afterword.errors import InvalidRequestError
from afterword.files import Upload
from afterword.handlers import forms
from afterword.handlers.form_fields import Field, check_name

_KEY, _VALUE = "input_key", "input_value"


def parse(content_type: str, body: bytes) -> list[tuple[str, str | Upload]]:
    """Return a request's inputs, (key, value), in the order sent; a key may be repeated.

    Raises InvalidRequestError as forms.read does.
    """
    return _pair_inputs(forms.read(content_type, body, _read_pairs).fields)


def _pair_inputs(fields: list[Field]) -> list[tuple[str, str | Upload]]:
    """Return the inputs of fields; a pair has the position of its key."""
    keys = [value for name, value in fields if name == _KEY]
    values = [value for name, value in fields if name == _VALUE]
    if len(keys) != len(values):
        raise InvalidRequestError(
            f"{_KEY}, {_VALUE}: must be sent equally often,"
            f" not {len(keys)} and {len(values)} times."
        )
    pairs = enumerate(zip(keys, values, strict=True), 1)
    inputs = []
    for name, value in fields:
        if name == _KEY:
            number, (key, paired) = next(pairs)
            if not isinstance(key, str):
                raise InvalidRequestError(f"{_KEY} (pair {number}): must be a text.")
            check_name(key, f"{_KEY} (pair {number})")
            if paired is not None:
                inputs.append((key, paired))
        elif name != _VALUE and value is not None:
            inputs.append((name, value))
    return inputs


def _read_pairs(sent: object) -> Iterator[Field]:
    """Yield the fields of pairs in a list of objects."""
    if not isinstance(sent, list):
        raise InvalidRequestError(
            f"The body must be a JSON object, or a list of objects with {_KEY} and {_VALUE}."
        )
    for number, item in enumerate(sent, 1):
        if not (isinstance(item, dict) and isinstance(item.get(_KEY), str) and _VALUE in item):
            raise InvalidRequestError(
                f"Item {number} of the JSON list: must be an object with {_KEY}, a string,"
                f" and {_VALUE}."
            )
        for text in forms.json_texts(item[_VALUE], f"{_VALUE} (item {number})"):
            yield _KEY, item[_KEY]
            yield _VALUE, text
