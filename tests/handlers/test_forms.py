"""Bodies of forms as fields; whole and broken ones of clients are in test_genai_stack_form.py."""

import pytest

from afterword.errors import InvalidRequestError
from afterword.files import Upload
from afterword.handlers import forms
from afterword.handlers.forms import Form

JSON = "application/json"
URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=XyZ"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (URLENCODED, b"b=1&_charset_=utf-8&a=2&b=3"),
        (JSON, b'{"b": 1, "a": "2", "_charset_": "UTF-8"}'),
        (
            MULTIPART,
            (
                b'--XyZ\r\nContent-Disposition: form-data; name="b"\r\n\r\n1\r\n'
                b'--XyZ\r\nContent-Disposition: form-data; name="a"\r\n\r\n2\r\n--XyZ--\r\n'
            ),
        ),
    ],
)
def test_fields_keep_their_order(content_type: str, body: bytes) -> None:
    """Fields are in the order sent, whatever the form, and the form's encoding is none of them."""
    assert forms.read(content_type, body).fields[:2] == [("b", "1"), ("a", "2")]


def test_a_field_may_be_there_without_a_value() -> None:
    """A field that is null, or an empty file input, is there and has no value."""
    sent = b'--XyZ\r\nContent-Disposition: form-data; name="a"; filename=""\r\n\r\n\r\n--XyZ--\r\n'
    assert forms.read(MULTIPART, sent) == Form([("a", None)])
    assert forms.read(JSON, b'{"a": null}') == Form([("a", None)])


def test_an_empty_list_is_told_from_none() -> None:
    """JSON's empty lists have no fields, and their names are told."""
    assert forms.read(JSON, b'{"a": [], "b": [null, "1"], "c": ""}') == Form(
        [("b", None), ("b", "1"), ("c", "")], frozenset({"a"})
    )


@pytest.mark.parametrize("body", [b"[]", b'"a"', b"1", b"null"])
def test_json_that_is_no_object(body: bytes) -> None:
    """JSON is an object, unless the caller reads other values."""
    with pytest.raises(InvalidRequestError, match="The body must be a JSON object"):
        forms.read(JSON, body)
    assert forms.read(JSON, body, lambda _: [("a", "1")]) == Form([("a", "1")])


def test_a_file_is_told_from_a_text() -> None:
    """A part with a filename is a file, and its name is kept without its folder."""
    sent = (
        b'--XyZ\r\nContent-Disposition: form-data; name="a"; filename="../b.txt"\r\n\r\nHello\r\n'
        b"--XyZ--\r\n"
    )
    assert forms.read(MULTIPART, sent).fields == [("a", Upload(name="b.txt", content=b"Hello"))]
