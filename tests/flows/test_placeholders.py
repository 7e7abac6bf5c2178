"""Reply templates: the form of a placeholder, and how a template is filled."""

import re
import string
from collections.abc import Mapping

import pytest

from afterword.errors import InvalidRequestError
from afterword.flows import placeholders
from afterword.flows.answers import UnusableError
from afterword.flows.placeholders import MAX_PLACEHOLDERS
from afterword.generations import Reason
from tests.harness.seeds import SEED_PARAMS, seeded

DEAR = "Bonjour [Nom du Client],\r\n\r\nMerci.  [one sentence on the next step]\n\tÀ bientôt [!]"
"""Three placeholders among fixed words."""
PROPERTY = re.compile(r"^[a-zA-Z0-9_.-]{1,64}$")
"""The names of properties that Bedrock takes."""


def why_unfilled(template: str, output: object) -> tuple[Reason, str]:
    """Return the reason for which the output does not fill the template."""
    with pytest.raises(UnusableError) as unfilled:
        placeholders.parse_template(template).fill(output)
    return unfilled.value.reason, str(unfilled.value)


def test_placeholders_become_properties_in_their_order() -> None:
    """Each placeholder is a property with a readable name, in the order of the template."""
    assert list(placeholders.parse_template(DEAR).properties.items()) == [
        ("nom_du_client", "Nom du Client"),
        ("one_sentence_on_the_next_step", "one sentence on the next step"),
        ("placeholder", "!"),
    ]


def test_the_schema_has_a_required_text_for_each_placeholder() -> None:
    """The schema asks for an object with exactly one text that is not empty per placeholder."""
    assert placeholders.parse_template("[Nom du Client] [date]").schema() == {
        "type": "object",
        "properties": {
            "nom_du_client": {"type": "string", "description": "Nom du Client", "minLength": 1},
            "date": {"type": "string", "description": "date", "minLength": 1},
        },
        "required": ["nom_du_client", "date"],
        "additionalProperties": False,
    }


def test_the_fixed_words_come_back_verbatim() -> None:
    """Everything outside the placeholders stays as it was, white space and line ends included."""
    output = {
        "nom_du_client": "Jean",
        "one_sentence_on_the_next_step": "On rappelle.",
        "placeholder": "!",
    }
    assert (
        placeholders.parse_template(DEAR).fill(output)
        == "Bonjour Jean,\r\n\r\nMerci.  On rappelle.\n\tÀ bientôt !"
    )


def test_a_placeholder_that_stands_twice_is_one_value() -> None:
    """The same placeholder twice is asked for once and filled in both places."""
    template = placeholders.parse_template("[name], dear [name]")
    assert list(template.properties) == ["name"]
    assert template.fill({"name": "Ada"}) == "Ada, dear Ada"


@pytest.mark.parametrize(
    "value",
    [
        "[date]",
        "[name] and [date]",
        "[[name]]",
        "{name}",
        "{0.__class__}",
        "%(name)s",
        "$name ${name}",
        r"\1 \g<0> \n",
        "[unknown]",
    ],
)
def test_a_value_is_never_expanded_again(value: str) -> None:
    """A placeholder inside a value stays there as text."""
    template = placeholders.parse_template("Hi [name], until [date].")
    output = {"name": value, "date": "Monday"}
    assert template.fill(output) == f"Hi {value}, until Monday."


def test_properties_of_the_output_that_nobody_asked_for_are_ignored() -> None:
    """More properties than there are placeholders do no harm."""
    assert placeholders.parse_template("[a]").fill({"a": "x", "b": "y", "c": 1}) == "x"


def test_white_space_around_a_value_is_dropped() -> None:
    """A value goes in without the white space that a model likes to put around it."""
    assert placeholders.parse_template("Dear [name],").fill({"name": " Ada\n"}) == "Dear Ada,"


@pytest.mark.parametrize(
    ("text", "filled", "properties"),
    [
        pytest.param("[]", "[]", {}, id="empty brackets"),
        pytest.param("[ ] [\t] [\u00a0]", "[ ] [\t] [\u00a0]", {}, id="white space"),
        pytest.param("[a", "[a", {}, id="not closed"),
        pytest.param("a] [", "a] [", {}, id="the wrong way round"),
        pytest.param("[one\ntwo]", "[one\ntwo]", {}, id="on two lines"),
        pytest.param("[one\rtwo]", "[one\rtwo]", {}, id="on two lines of an old Mac"),
        pytest.param("[one\r\ntwo]", "[one\r\ntwo]", {}, id="on two lines of Windows"),
        pytest.param("[" + "x" * 201 + "]", "[" + "x" * 201 + "]", {}, id="201 characters"),
        pytest.param("no brackets", "no brackets", {}, id="no brackets"),
        pytest.param("", "", {}, id="nothing"),
        pytest.param("[[a]]", "[<a>]", {"a": "a"}, id="brackets in brackets"),
        pytest.param("[b [a] c]", "[b <a> c]", {"a": "a"}, id="a placeholder in brackets"),
        pytest.param("[a][b]", "<a><b>", {"a": "a", "b": "b"}, id="side by side"),
        pytest.param("[ a ]", "<a>", {"a": " a "}, id="space inside"),
        pytest.param(
            "[" + "x" * 200 + "]", "<" + "x" * 60 + ">", {"x" * 60: "x" * 200}, id="200 characters"
        ),
    ],
)
def test_what_is_a_placeholder_and_what_is_not(
    text: str, filled: str, properties: Mapping[str, str]
) -> None:
    """Brackets on one line with 1 to 200 characters are a placeholder; others are fixed words."""
    template = placeholders.parse_template(text)
    assert template.properties == properties
    assert template.fill({name: f"<{name}>" for name in properties}) == filled


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("[first name] [First-Name]", ["first_name", "first_name_2"], id="same slug"),
        pytest.param("[a] [A] [a 2] [a!]", ["a", "a_2", "a_2_2", "a_3"], id="taken twice"),
        pytest.param("[Prénom] [Größe]", ["prenom", "groe"], id="accents"),
        pytest.param("[名前] [日付]", ["placeholder", "placeholder_2"], id="Japanese"),
        pytest.param("[имя] [placeholder]", ["placeholder", "placeholder_2"], id="Russian"),
        pytest.param("[😀]", ["placeholder"], id="an emoji"),
        pytest.param("[①]", ["1"], id="a digit in a circle"),
        pytest.param("[...]", ["placeholder"], id="dots"),
        pytest.param(
            f"[{'y' * 70}] [{'y' * 80}]", ["y" * 60, "y" * 60 + "_2"], id="same first letters"
        ),
    ],
)
def test_each_placeholder_has_a_property_of_its_own(text: str, names: list[str]) -> None:
    """Placeholders whose names come out alike are numbered, whatever the alphabet."""
    template = placeholders.parse_template(text)
    assert list(template.properties) == names
    output = {name: f"value {at}" for at, name in enumerate(names)}
    assert re.findall(r"value \d", template.fill(output)) == [
        f"value {at}" for at in range(len(names))
    ]


@pytest.mark.parametrize(
    ("output", "left_empty"),
    [
        ({"date": "Monday"}, "name"),
        ({"name": "", "date": "Monday"}, "name"),
        ({"name": " \n\u00a0", "date": "Monday"}, "name"),
        ({"name": None, "date": "Monday"}, "name"),
        ({"name": 7, "date": "Monday"}, "name"),
        ({"name": ["Ada"], "date": "Monday"}, "name"),
        ({"name": "[name]", "date": "Monday"}, "name"),
        ({"name": " [name] ", "date": "Monday"}, "name"),
        ({"name": "Ada", "date": " "}, "date"),
        ({}, "name"),
    ],
)
def test_a_placeholder_left_empty_is_a_failure_that_names_it(
    output: Mapping[str, object], left_empty: str
) -> None:
    """A value that is missing, blank, no text or the placeholder again is a hole, and fails."""
    assert why_unfilled("Dear [name], until [date].", output) == (
        Reason.EMPTY_PLACEHOLDER,
        f"The model left [{left_empty}] empty.",
    )


@pytest.mark.parametrize("output", [["Ada"], None, "Ada", 7])
def test_an_output_that_is_no_object_is_a_failure_with_a_reason(output: object) -> None:
    """An output that is no JSON object fails as an invalid response."""
    message = "The model's output for the template is no JSON object."
    assert why_unfilled("Dear [name], until [date].", output) == (Reason.INVALID_RESPONSE, message)


def test_a_template_has_at_most_a_hundred_placeholders() -> None:
    """A hundred different placeholders are taken, repeated or not; one more is refused."""
    most = "".join(f"[{number}]" for number in range(MAX_PLACEHOLDERS))
    assert len(placeholders.parse_template(most * 2).properties) == MAX_PLACEHOLDERS == 100
    with pytest.raises(InvalidRequestError) as refused:
        placeholders.parse_template(f"{most}[one more]")
    assert str(refused.value) == "template: must have at most 100 different placeholders."


@pytest.mark.parametrize("letter", ["x", "名", "é"])
def test_property_names_fit_however_many_collide(letter: str) -> None:
    """As many placeholders as may be, all alike, have different names that Bedrock takes."""
    template = "".join(f"[{letter * (100 + number)}]" for number in range(MAX_PLACEHOLDERS))
    names = list(placeholders.parse_template(template).properties)
    assert len(set(names)) == MAX_PLACEHOLDERS
    assert [name for name in names if not PROPERTY.match(name)] == []


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_any_template_is_filled_once_and_its_fixed_words_stay(seed: int) -> None:
    """In any template, filling changes its placeholders and nothing else."""
    rng = seeded(seed)
    letters = string.ascii_letters + " _-.!?{}()\\%$é名😀\t"
    parts: list[tuple[str, str]] = []  # as it stands in the template, as it is filled
    values: dict[str, str] = {}
    for _ in range(rng.randrange(1, 30)):
        text = "".join(rng.choice(letters) for _ in range(rng.randrange(1, 40)))
        if rng.random() < 1 / 2 or not text.strip():
            fixed = f"{text}\n"
            parts.append((fixed, fixed))
        else:
            values.setdefault(text, f"[{rng.choice([*values, 'x'])}] \\1 {len(values)}")
            parts.append((f"[{text}]", values[text]))
    template = placeholders.parse_template("".join(stands for stands, _ in parts))
    assert [name for name in template.properties if not PROPERTY.match(name)] == []
    assert list(template.properties.values()) == list(values)
    output = {name: values[what] for name, what in template.properties.items()}
    assert template.fill(output) == "".join(filled for _, filled in parts)


def test_a_filled_template_has_a_bound() -> None:
    """A long value of a placeholder that stands a thousand times is refused in advance."""
    template = placeholders.parse_template("[name] " * 1_000)
    assert len(template.fill({"name": "x" * 1_000})) == 1_001_000
    with pytest.raises(UnusableError) as refused:
        template.fill({"name": "x" * 3_000})
    assert refused.value.reason is Reason.INVALID_RESPONSE
    assert str(refused.value) == "The template would be filled with more than 2,000,000 characters."
