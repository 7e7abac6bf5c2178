"""Flow files and what is wrong with them."""

import json
from pathlib import Path

import pytest

from afterword.flows.drafts import Flow, Step
from cli import flow_files
from cli.flow_files import FlowFileError

GOOD = """\
# How mails are answered.
id: mail-reply
name: Réponses
deadline_seconds: 600
steps:
  - name: reply
    instructions: |
      Answer politely.
      Promise nothing.
    max_tokens: 300
    temperature: 2e-1
"""
FLOW = Flow(
    id="mail-reply",
    name="Réponses",
    deadline_seconds=600,
    steps=(
        Step(
            name="reply",
            instructions="Answer politely.\nPromise nothing.\n",
            max_tokens=300,
            temperature=0.2,
        ),
    ),
)
STEP = "\nsteps: [{name: reply, instructions: Answer.}]\n"


def write(folder: Path, content: str | bytes, name: str = "mail.yaml") -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path) -> list[str]:
    """Return the lines of what is wrong with a file, its folder left out."""
    with pytest.raises(FlowFileError) as raised:
        flow_files.read(path)
    return str(raised.value).replace(f"{path.parent}/", "").splitlines()


def test_yaml_is_read(tmp_path: Path) -> None:
    """A YAML file is the flow that it describes."""
    assert flow_files.read(write(tmp_path, GOOD)) == FLOW


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_is_read(tmp_path: Path, indent: str | int | None) -> None:
    """A JSON file is the same flow, however it is indented, a byte order mark included."""
    text = "\ufeff" + json.dumps(FLOW.model_dump(), indent=indent)
    assert flow_files.read(write(tmp_path, text, "mail.json")) == FLOW


def test_what_is_rendered_can_be_read_again(tmp_path: Path) -> None:
    """A rendered flow is readable YAML that reads as the same flow."""
    rendered = flow_files.render(FLOW.model_dump_json(exclude_none=True, exclude_unset=True))
    assert rendered == (
        "id: mail-reply\nname: Réponses\ndeadline_seconds: 600\nsteps:\n- name: reply\n"
        "  instructions: |\n    Answer politely.\n    Promise nothing.\n"
        "  max_tokens: 300\n  temperature: 0.2\n"
    )
    assert flow_files.read(write(tmp_path, rendered)) == FLOW


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "010",
        "2026-01-01",
        "1:30",
        "~",
        "null",
        "true",
        "3",
        "1e3",
        "[x]",
        "- a",
        "a: b",
        "#a",
        " a\n b ",
        "a\t\nb",
        "\U0001f600",
        "&a",
        "<<",
        "line\r\n",
        "%",
    ],
)
def test_any_instructions_survive_the_way_through_yaml(tmp_path: Path, text: str) -> None:
    """A text that YAML could take for something else comes back as the same text."""
    flow = FLOW.model_copy(
        update={"steps": (FLOW.steps[0].model_copy(update={"instructions": text}),)}
    )
    rendered = flow_files.render(flow.model_dump_json())
    assert flow_files.read(write(tmp_path, rendered)) == flow


def test_every_problem_is_told_with_its_line_and_field(tmp_path: Path) -> None:
    """All that is wrong is told at once, in the order of the lines."""
    path = write(
        tmp_path,
        """\
id: mail reply
owner: Jane
steps:
  - name: reply
    temperature: "hot"

    max_tokens: 200000
""",
    )
    assert refusal(path) == [
        (
            "mail.yaml:1: id: must be"
            " 1 to 64 letters, digits, '-' or '_', the first a letter or digit"
        ),
        "mail.yaml:1: name: must be present",
        "mail.yaml:2: owner: must be left out: there is no such field",
        "mail.yaml:5: steps[0].temperature: must be a valid number",
        "mail.yaml:7: steps[0].max_tokens: must be less than or equal to 100000",
    ]


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ("9", "must be greater than or equal to 10"),
        ("21601", "must be less than or equal to 21600"),
        ("60.5", "must be a valid integer"),
        ("6e1", "must be a valid integer"),
        ("1h", "must be a valid integer"),
        ("[60]", "must be a valid integer"),
        ("true", "must be a valid integer"),
    ],
)
def test_a_wrong_deadline_is_told(tmp_path: Path, written: str, what: str) -> None:
    """A deadline is a whole number of seconds, from 10 to six hours; another value is named."""
    path = write(tmp_path, f"id: m\nname: x\ndeadline_seconds: {written}{STEP}")
    assert refusal(path) == [f"mail.yaml:3: deadline_seconds: {what}"]


@pytest.mark.parametrize("seconds", [10, 21_600])
def test_the_longest_and_the_shortest_deadline_are_taken(tmp_path: Path, seconds: int) -> None:
    """The bounds of a deadline belong to what is taken."""
    path = write(tmp_path, f"id: m\nname: x\ndeadline_seconds: {seconds}{STEP}")
    assert flow_files.read(path).deadline_seconds == seconds


@pytest.mark.parametrize("line", ["", "deadline_seconds:", "deadline_seconds: null"])
def test_a_deadline_may_be_left_out(tmp_path: Path, line: str) -> None:
    """A flow without a deadline, or with an empty one, has none."""
    path = write(tmp_path, f"id: m\nname: x\n{line}{STEP}")
    assert flow_files.read(path).deadline_seconds is None


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", ":1: The file is empty"),
        ("- a\n", ":1: must be an object"),
        ("hello", ":1: must be an object"),
        (f"id: m\nname: no{STEP}name: yes\n", ":4: name: The field is there twice"),
        (f"id: m\nname: 3{STEP}", ":2: name: must be a valid string"),
        (
            "id: m\nname: x\nsteps: []\n",
            ":3: steps: must have 1 to 20 steps, not 0",
        ),
        (
            "id: m\nname: x\nsteps:\n- {name: a, instructions: b}\n- {name: a, instructions: b}\n",
            ":5: steps[1].name: must be unique, and a is taken",
        ),
        ("id: m\nname: x\nsteps: {}\n", ":3: steps: must be a valid array"),
        (
            'id: m\nname: "x\nsteps: [\n',
            ":4: found unexpected end of stream (while scanning a quoted scalar of line 2)",
        ),
        ("id: m\n name: x\n", ":2: mapping values are not allowed here"),
        (
            "id: m\n---\nid: n\n",
            ":2: but found another document (expected a single document in the stream of line 1)",
        ),
        ("id: a\x07b\n", ":1: The control character U+0007 is not text"),
        (b"\xff\xfe", ": The file is not UTF-8"),
        ("[" * 100_000, ": The file is nested too deeply"),
        (
            f'id: m\nname: "\\ud83d"{STEP}',
            ":1: must have no half of a surrogate pair",
        ),
        (
            f"id: {'9' * 5000}\n",
            ": A value does not fit its type, or is a number of too many digits",
        ),
        (
            "id: !!timestamp 2026-01-01\n",
            ": A value is none that JSON has: Object of type date is not JSON serializable",
        ),
        (
            "id: &a [*a]\n",
            ": A value is none that JSON has: Circular reference detected",
        ),
        (
            "id: !!python/name:os.system\n",
            (
                ":1: could not determine a constructor for the tag"
                " 'tag:yaml.org,2002:python/name:os.system'"
            ),
        ),
    ],
)
def test_what_is_no_flow_is_one_clear_line(tmp_path: Path, content: str | bytes, what: str) -> None:
    """A file without a flow is one line that names the fault and, if it can, the line."""
    assert refusal(write(tmp_path, content)) == [f"mail.yaml{what}"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ('{\n\t"id": "m",\n\t"id": "n"\n}', ":3: id: The field is there twice"),
        (
            '{"id": "m",\n"name": "x"',
            (
                ":2: expected ',' or '}', but got '<stream end>'"
                " (while parsing a flow mapping of line 1)"
            ),
        ),
        (
            '{\n"id": "m",\n"name": "x",\n"steps": [\n{"name": 1, "instructions": "y"}\n]}',
            ":5: steps[0].name: must be a valid string",
        ),
    ],
)
def test_json_errors_have_lines_too(tmp_path: Path, content: str, what: str) -> None:
    """JSON is told about as YAML is: a field twice, broken syntax, a wrong type."""
    assert refusal(write(tmp_path, content, "mail.json")) == [f"mail.json{what}"]


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    """A file that is not there is told by its name."""
    assert refusal(tmp_path / "none.yaml") == ["none.yaml: No such file or directory"]
