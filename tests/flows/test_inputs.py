"""The inputs that a flow asks its callers for, and the check of the values that they send."""

import json
from collections.abc import Sequence

import pytest

from afterword.errors import UnprocessableError
from afterword.files import SubmittedFile, Upload
from afterword.flows import inputs
from afterword.flows.inputs import ANY_TEXT, Input, Kind
from afterword.generations import Values
from tests.harness.seeds import SEED_PARAMS, seeded

TEXT = Input(name="topic", label="Topic")
FILE = Input(name="paper", label="Paper", kind=Kind.FILE, max_bytes=10)
TEXTS = [kind for kind in Kind if kind is not Kind.FILE]
NOTE = Upload(name="note.txt", content=b"Hello")

type Sent = Sequence[tuple[str, str | Upload]]


def values(each: Input, *sent: str | Upload) -> Values:
    """Return the function that makes values of those sent for one input."""
    return inputs.check_inputs((each,), [(each.name, value) for value in sent])[0]


def refused(declared: Sequence[Input], sent: Sent) -> tuple[str, str]:
    """Return the field of a refusal, and its message."""
    with pytest.raises(UnprocessableError) as error:
        inputs.check_inputs(declared, sent)
    return error.value.field, str(error.value)


def test_a_flow_that_declares_nothing_asks_for_one_text() -> None:
    """Without inputs of its own a flow takes one long text."""
    for document in ("{}", '{"inputs": null}', '{"inputs": []}'):
        assert inputs.declared_inputs(document) == (ANY_TEXT,)
    assert inputs.check_inputs((ANY_TEXT,), [("text", "Hi")]) == ({"text": "Hi"}, ())
    assert refused((ANY_TEXT,), []) == ("text", "text: must be sent.")


def test_a_declaration_is_read_as_it_was_saved() -> None:
    """An input has what its document says, and the usual where it says nothing or null."""
    spec = {
        "name": "tone",
        "label": "Tone",
        "kind": "choice",
        "required": False,
        "multiple": True,
        "default": "formal",
        "options": ["formal", "friendly"],
    }
    nothing: dict[str, object] = {
        "name": "topic",
        "label": None,
        "kind": "text",
        "options": [],
        "max_bytes": None,
    }
    number = {"name": "words", "kind": "number", "least": 1, "most": 2.5}
    document = json.dumps({"inputs": [spec, {"name": "topic"}, nothing, number]})
    assert inputs.declared_inputs(document) == (
        Input(
            name="tone",
            label="Tone",
            kind=Kind.CHOICE,
            required=False,
            multiple=True,
            default="formal",
            options=("formal", "friendly"),
        ),
        Input(name="topic", label="topic"),
        Input(name="topic", label="topic"),
        Input(name="words", label="words", kind=Kind.NUMBER, least=1, most=2.5),
    )


def test_inputs_are_in_the_order_of_their_declaration() -> None:
    """For a form in any order, its values and files come in the flow's order."""
    declared = (
        Input(name="b", label="b", multiple=True),
        Input(name="a", label="a"),
        Input(name="g", label="g", kind=Kind.FILE, multiple=True),
        Input(name="f", label="f", kind=Kind.FILE),
    )
    sent: Sent = [("f", NOTE), ("a", "1"), ("b", "2"), ("g", NOTE), ("b", "3"), ("g", NOTE)]
    checked, files = inputs.check_inputs(declared, sent)
    assert list(checked.items()) == [("b", ["2", "3"]), ("a", "1")]
    assert [file.input for file in files] == ["g", "g", "f"]


@pytest.mark.parametrize("blank", ["", " ", "\t\r\n", "\N{NO-BREAK SPACE}\u2028"])
@pytest.mark.parametrize("kind", TEXTS)
def test_a_blank_value_is_as_if_not_sent(kind: Kind, blank: str) -> None:
    """A blank value is no value: the default holds, or there is none, or it is asked for."""
    optional = Input(name="i", label="i", kind=kind, required=False, options=("x",))
    assert values(optional, blank) == values(optional) == {}
    required = Input(name="i", label="i", kind=kind, options=("x",))
    assert refused((required,), [("i", blank)]) == ("i", "i: must not be empty.")
    assert refused((required,), []) == ("i", "i: must be sent.")
    several = Input(name="i", label="i", kind=kind, multiple=True, options=("x",))
    assert refused((several,), [("i", blank), ("i", blank)]) == ("i", "i: must not be empty.")


@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize("blank", [[], [""]])
def test_a_default_holds_where_nothing_is_sent(*, required: bool, blank: list[str]) -> None:
    """An input with a default is never missing, and what is sent goes before it."""
    one = Input(name="i", label="i", required=required, default="usual")
    several = Input(name="i", label="i", required=required, default="usual", multiple=True)
    assert values(one, *blank) == {"i": "usual"}
    assert values(several, *blank) == {"i": ["usual"]}
    assert values(one, "other") == {"i": "other"}
    assert values(several, *blank, "other") == {"i": ["other"]}


@pytest.mark.parametrize(
    ("kind", "limit", "most"),
    [
        (Kind.TEXT, None, 10_000),
        (Kind.LONG_TEXT, None, 1_000_000),
        (Kind.TEXT, 3, 3),
        (Kind.LONG_TEXT, 3, 3),
        (Kind.TEXT, 1_000_000, 1_000_000),
    ],
)
def test_a_text_has_no_more_characters_than_its_limit(
    kind: Kind, limit: int | None, most: int
) -> None:
    """A text is measured in characters, whatever they are, and kept as it was sent."""
    each = Input(name="i", label="i", kind=kind, max_length=limit)
    for character in ("x", "😀"):
        assert values(each, character * most) == {"i": character * most}
        message = f"i: must have at most {most} characters, not {most + 1}."
        assert refused((each,), [("i", character * (most + 1))]) == ("i", message)
    assert values(each, " a ") == {"i": " a "}


NUMBER = Input(name="i", label="i", kind=Kind.NUMBER)


@pytest.mark.parametrize(
    "number",
    ["0", "-0", "7", "-7", "1.50", "0.1", "-0.1e-10", "1e3", "1E+3", "9" * 100, "1e308", "1e-999"],
)
def test_a_number_is_kept_as_it_is_written(number: str) -> None:
    """A number is one of JSON's, and its text is what the prompt has."""
    assert values(NUMBER, number) == values(NUMBER, f" {number}\n") == {"i": number}


@pytest.mark.parametrize(
    "text",
    [
        "x", "1x", "+1", "01", "1.", ".5", "1,5", "1_000", "0x10", "1e", "1e1000", "\u0661", "½",
        "--1", "1 2", "NaN", "nan", "Infinity", "inf", "True", "9" * 101,
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused(text: str) -> None:
    """Anything but one of JSON's numbers, of up to a hundred characters, is none."""
    assert refused((NUMBER,), [("i", text)]) == ("i", "i: must be a number.")


@pytest.mark.parametrize(
    ("least", "most", "number", "message"),
    [
        (1, None, "0.99", "must be at least 1."),
        (1, None, "-1e999", "must be at least 1."),
        (None, 1, "1.01", "must be at most 1."),
        (None, 1, "1e999", "must be at most 1."),
        (-0.5, 0.5, "-0.51", "must be at least -0.5."),
        (1_234_567, None, "1", "must be at least 1234567."),
        (None, 1_000_000, "1000001", "must be at most 1000000."),
        (None, 0.1, "0.11", "must be at most 0.1."),
        (None, None, "1e999", "must be at most 1e+308."),
        (None, None, "-1e999", "must be at least -1e+308."),
        (None, 1, "-1e999", "must be at least -1e+308."),
        (1, None, "1e999", "must be at most 1e+308."),
    ],
)
def test_a_number_is_within_its_limits(
    least: float | None, most: float | None, number: str, message: str
) -> None:
    """A number beyond a limit is refused with that limit; one that is infinite always is."""
    each = Input(name="i", label="i", kind=Kind.NUMBER, least=least, most=most)
    assert refused((each,), [("i", number)]) == ("i", f"i: {message}")


def test_a_numbers_limits_belong_to_it() -> None:
    """The least and the most are taken themselves."""
    each = Input(name="i", label="i", kind=Kind.NUMBER, least=-1, most=0)
    for number in ("-1", "-1.0", "0", "-0.5"):
        assert values(each, number) == {"i": number}


@pytest.mark.parametrize(
    ("sent", "boolean"),
    [
        *((text, "true") for text in ("true", "True", "TRUE", "1", "on", "yes", " on ")),
        *((text, "false") for text in ("false", "False", "FALSE", "0", "off", "no", "no\n")),
    ],
)
def test_a_boolean_is_true_or_false(sent: str, boolean: str) -> None:
    """A checkbox's values in forms are understood, in any case, and mean one of two words."""
    each = Input(name="i", label="i", kind=Kind.BOOLEAN)
    assert values(each, sent) == {"i": boolean}


@pytest.mark.parametrize("text", ["maybe", "2", "t", "y", "truefalse", "null", "\uff54rue"])
def test_what_is_no_boolean_is_refused(text: str) -> None:
    """Any other word is none."""
    each = Input(name="i", label="i", kind=Kind.BOOLEAN)
    assert refused((each,), [("i", text)]) == ("i", "i: must be true or false.")


def test_a_choice_is_one_of_its_options() -> None:
    """A choice is taken to the letter; another one is refused with what there is."""
    each = Input(name="i", label="i", kind=Kind.CHOICE, options=("a", " b", "C d"))
    for option in each.options:
        assert values(each, option) == {"i": option}
    for text in ("A", "b", "a ", "c d", "a, b"):
        assert refused((each,), [("i", text)]) == ("i", "i: must be one of: a,  b, C d.")


def test_what_may_be_there_several_times_is_a_list() -> None:
    """With `multiple` each value is checked, and even one is a list; without, one is taken."""
    several = Input(name="i", label="i", kind=Kind.NUMBER, multiple=True)
    assert values(several, "1") == {"i": ["1"]}
    assert values(several, "2", "1", "2") == {"i": ["2", "1", "2"]}
    assert refused((several,), [("i", "1"), ("i", "x")]) == ("i", "i: must be a number.")
    for sent in (["1", "2"], ["1", "1"], ["1", ""]):
        found = refused((NUMBER,), [("i", value) for value in sent])
        assert found == ("i", "i: must be sent once, not 2 times.")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("subject", "subject"),
        ("Topic", "Topic"),
        ("topic ", "topic "),
        ("objet-é.1", "objet-é.1"),
        ("", "An input"),
        ("<script>", "An input"),
        ("a\nb", "An input"),
        ("x" * 65, "An input"),
        ("\u202e", "An input"),
    ],
)
def test_an_unknown_input_is_refused_with_those_there_are(name: str, shown: str) -> None:
    """A key of no input is refused, and repeated only if it can be shown."""
    message = f"{shown}: must be one of: topic, paper."
    for value in ("x", "", NOTE):
        assert refused((TEXT, FILE), [(name, value)]) == (shown, message)


# --- files ----------------------------------------------------------------------------------------


def test_a_file_is_taken_with_its_name_type_and_input() -> None:
    """A file keeps its name and bytes, and has the type that its bytes say."""
    sent: Sent = [("paper", Upload(name="page.txt", content=b"%PDF-1.7"))]
    assert inputs.check_inputs((FILE,), sent) == (
        {},
        (
            SubmittedFile(
                input="paper", name="page.txt", media_type="application/pdf", content=b"%PDF-1.7"
            ),
        ),
    )


BINARY = "a binary file of an unknown kind"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Hello", "must be a file."),
        ("", "must be a file."),
        (Upload(name="a.txt", content=b""), "must not be an empty file."),
        (
            Upload(name="a.txt", content=b"x" * 11),
            "must be a file of at most 10 bytes, not 11.",
        ),
        (
            Upload(name="a.txt", content=b"\x00\x01"),
            f"must be a file of one of these types: {inputs.FILE_TYPES}; not {BINARY}.",
        ),
    ],
)
def test_what_is_no_file_is_refused(value: str | Upload, message: str) -> None:
    """A text for a file, an empty file, one that is too big and one of an unknown type."""
    assert refused((FILE,), [("paper", value)]) == ("paper", f"paper: {message}")


def test_a_file_may_have_as_many_bytes_as_its_limit() -> None:
    """The limit itself is taken; where the flow says nothing it is 4.5 MB."""
    assert inputs.check_inputs((FILE,), [("paper", Upload(name="", content=b"x" * 10))])[1]
    usual = Input(name="paper", label="paper", kind=Kind.FILE)
    content = b"x" * 4_500_000
    assert inputs.check_inputs((usual,), [("paper", Upload(name="", content=content))])[1]
    message = "paper: must be a file of at most 4500000 bytes, not 4500001."
    too_big = Upload(name="", content=content + b"x")
    assert refused((usual,), [("paper", too_big)]) == ("paper", message)


def test_files_are_asked_for_and_counted() -> None:
    """A required file is missed, an optional one is not, and twenty are taken of all inputs."""
    assert refused((FILE,), []) == ("paper", "paper: must be sent.")
    first = Input(name="first", label="first", kind=Kind.FILE, multiple=True, required=False)
    second = Input(name="second", label="second", kind=Kind.FILE, multiple=True, required=False)
    assert inputs.check_inputs((first, second), []) == ({}, ())
    sent: list[tuple[str, str | Upload]] = [("first", NOTE) for _ in range(12)]
    sent += [("second", NOTE) for _ in range(8)]
    assert len(inputs.check_inputs((first, second), sent)[1]) == 20
    message = "second: must be at most 20 files in all, not 21."
    assert refused((first, second), [*sent, ("first", NOTE)]) == ("second", message)


@pytest.mark.parametrize("kind", TEXTS)
def test_a_file_is_no_text(kind: Kind) -> None:
    """A file for any other input is refused, however short it is."""
    each = Input(name="i", label="i", kind=kind, options=("Hello",))
    message = "i: must be a text, not a file."
    assert refused((each,), [("i", NOTE)]) == ("i", message)


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_whatever_is_sent_fits_or_is_refused_by_name(seed: int) -> None:
    """Any form is either taken, with values that fit again as they are, or refused by an input."""
    rng = seeded(seed)
    taken = 0
    words: list[str | Upload] = [
        NOTE, "", " ", "1", "-2.5", "1e9", "on", "no", "a", "b", "é", "x" * 9, "x" * 11,
    ]  # fmt: skip
    for _ in range(1_000):  # about one in seven is taken
        declared = tuple(
            Input(
                name=f"i{number}",
                label="i",
                kind=rng.choice(list(Kind)),
                required=rng.random() < 0.3,
                multiple=rng.random() < 0.5,
                max_length=10,
                options=("a", "b"),
            )
            for number in range(rng.randrange(1, 4))
        )
        sent: Sent = [(f"i{rng.randrange(4)}", rng.choice(words)) for _ in range(rng.randrange(5))]
        try:
            checked, files = inputs.check_inputs(declared, sent)
        except UnprocessableError as error:
            assert error.field in {"i0", "i1", "i2", "i3"}  # noqa: PT017 - not all are refused
            continue
        taken += 1
        again: list[tuple[str, str | Upload]] = [
            (name, value)
            for name, found in checked.items()
            for value in ([found] if isinstance(found, str) else found)
        ]
        again += [(file.input, Upload(name=file.name, content=file.content)) for file in files]
        assert inputs.check_inputs(declared, again) == (checked, files)
        for each in declared:
            there = each.name in checked or any(file.input == each.name for file in files)
            assert there or not each.required
    assert taken > 20
