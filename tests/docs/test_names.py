"""The names in backticks in the documentation: files, commands, routes and identifiers exist."""

import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import typer

from cli.main import app
from openapi.document import JSON_FILE
from tests.conftest import ROOT

SHORT_FORMS = ("", "layers/core/afterword/", "tests/")
"""The folders that the path of a file or folder may leave out."""
MADE = (".venv", ".local", ".aws-sam")
"""The folders that commands make."""
KEYS = ("intake/", "results/", "uploads/", "<tenant>/")
"""The beginnings of objects' keys in the buckets."""
PROGRAMS = frozenset({"aws", "docker", "export", "git", "kill", "python", "sam"})
"""Other people's programs: a span that begins with one is a command line of theirs."""
OTHERS = frozenset(
    {
        "$LATEST",  # Lambda's
        "--debug-port",  # sam's, as are the next four
        "--env-vars",
        "--parameter-overrides Architecture=arm64",
        "--warm-containers LAZY",
        "EAGER",
        ".jsonl",
        "/afterword/<WebhooksTable>/*",  # SSM's names of parameters
        "/proc",
        "PutMetricData",
        "UnknownServiceError",  # botocore's
        "aws/ssm",  # KMS's name of its key
        "cryptography",
        "deadline_second",  # a misspelling
        "docker0",
        "endpoints.json",  # botocore's
        "eval",
        "eventId",  # in API Gateway's requests
        "fastjsonschema",
        "faq/page.html",  # an example
        "index.html",
        "is_global",
        "noqa",
        "set_timestamp",
        "step_2",  # the second of any number
        "word/document.xml",  # in DOCX
    }
)
"""Other people's names, and names that callers, examples and the past have chosen."""
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_FILE = re.compile(r"[\w.*<> …$-]*(/|\.(py|ya?ml|json|jsonl|md|toml|lock|css|js|txt|html|log))")
_PATH = re.compile(r"[\w.*<>/-]+")
_FOREIGN = re.compile(r"(application|multipart|text|image)/[\w.+-]+|https://")
_ROUTE = re.compile(r"(?:(?:GET|POST|PUT|PATCH|DELETE) )?(/[\w/{}.-]*)(\?.*)?")
_AFTERWORD = re.compile(r"(?:uv run )?afterword(?: --local)? ([^…]+)")
_OPTION = re.compile(r"--([a-z][\w-]*)")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_PHRASE = re.compile(r"[a-z]+([ -][a-z]+)+")
_COMPOUND = re.compile(r"_|[a-z][A-Z]")
_PROSE = re.compile(r'"""[\s\S]*?"""|#[^\n]*')


@cache
def tracked() -> frozenset[str]:
    """Return the paths of the files of this checkout, and of their folders."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    paths = [PurePosixPath(path) for path in listed if (ROOT / path).exists()]
    return frozenset(str(part) for path in paths for part in (path, *path.parents))


@cache
def code() -> str:
    """Return the text of code, template, descriptions and settings, without Python's prose."""
    texts = []
    for name in sorted(tracked()):
        path = ROOT / name
        match path.suffix:
            case ".py":
                if path != Path(__file__):
                    texts.append(_PROSE.sub("", path.read_text()))
            case ".yaml" | ".yml" | ".toml" | ".json" if name != "openapi/released.yaml":
                texts.append(path.read_text())
    return "\n".join([*texts, (ROOT / "Makefile").read_text(), (ROOT / ".ci/run").read_text()])


@cache
def lower_code() -> str:
    """Return the code in lower case, for names of headers and texts with other characters."""
    return code().lower()


@cache
def identifiers() -> frozenset[str]:
    """Return the identifiers of the code, and the words of its strings."""
    return frozenset(_IDENTIFIER.findall(code()))


@cache
def routes() -> frozenset[str]:
    """Return the paths of openapi.yaml, with `{}` for each parameter."""
    paths = json.loads(JSON_FILE.read_text())["paths"]
    return frozenset(re.sub(r"\{\w+\}", "{}", path) for path in paths)


@cache
def commands() -> dict[str, frozenset[str]]:
    """Return the options of each command of the command line by its words."""
    return dict(_commands("", typer.main.get_command(app)))


def _commands(words: str, command: Any) -> Iterator[tuple[str, frozenset[str]]]:  # noqa: ANN401
    inner = getattr(command, "commands", {})
    opts = {opt for param in command.params for opt in (*param.opts, *param.secondary_opts)}
    yield words, frozenset(opts)
    for name, each in inner.items():
        yield from _commands(f"{words} {name}".strip(), each)


def documents() -> list[Path]:
    """Return the documents, without the decisions that no longer hold."""
    index = (ROOT / "docs/decisions/README.md").read_text()
    holding = set(re.findall(r"\]\((\d{4}-[\w-]+\.md)\) \| [\d-]+ \| in force", index))
    return [
        ROOT / path
        for path in sorted(tracked())
        if re.fullmatch(r"(README|CONTRIBUTING|bench/.*|docs/.*)\.md", path)
        and (not re.match(r"docs/decisions/\d", path) or path.rpartition("/")[2] in holding)
    ]


def spans(document: Path) -> Iterator[tuple[str, str]]:
    """Yield each text in backticks, with its paragraph."""
    for paragraph in re.split(r"\n\s*\n|\n(?=\|)", _FENCED.sub("", document.read_text())):
        for span in _SPAN.findall(paragraph):
            yield " ".join(span.split()), paragraph


def is_known(span: str, paragraph: str) -> bool:
    """Return whether a span names a thing that exists, or none at all."""
    first, *rest = span.split()
    if span in OTHERS or first in PROGRAMS or first.startswith(MADE) or _FOREIGN.match(span):
        known = True
    elif first == "make":
        known = f"\n{rest[0]}:" in (ROOT / "Makefile").read_text()
    elif command := _AFTERWORD.fullmatch(span):
        known = is_command(command[1].split())
    elif route := _ROUTE.fullmatch(span):
        known = is_route(route[1])
    elif _FILE.match(span) and _PATH.fullmatch(span):
        known = is_path(span, paragraph)
    elif _PHRASE.fullmatch(span):
        known = span in lower_code() or is_command(span.split())
    elif option := _OPTION.match(span):
        known = f"--{option[1]}" in frozenset().union(*commands().values())
    else:
        known = first[0] in "{[\"'" or are_identifiers(span)
    return known


def is_command(words: list[str]) -> bool:
    """Return whether words begin with a command, or with several of one group with `|` between."""
    options = frozenset().union(*commands().values())
    given = [word for word in words if not word.startswith("-")]
    wrong = {word.partition("=")[0] for word in words if word.startswith("--")} - options
    group, *alternatives = " ".join(given).replace("|", " ").split()
    whole = alternatives if "|" in " ".join(words) else alternatives[:1]
    one_word = not any(command.startswith(f"{group} ") for command in commands())
    return not wrong and all(
        name in commands() for name in ([group] if one_word else [f"{group} {w}" for w in whole])
    )


def is_route(path: str) -> bool:
    """Return whether openapi.yaml has a path, or one that ends so."""
    route = re.sub(r"\{\w+\}", "{}", path)
    return any(known.endswith(route) or known.startswith(route) for known in routes())


def is_path(span: str, paragraph: str) -> bool:
    """Return whether a path exists: whole, in a short form, or as the beginning of keys.

    A file's name alone must be the only one, or in a folder that the paragraph names; of a test's
    there may be several. `<name>` and `*` stand for any text.
    """
    wanted = re.sub(r"<[\w ]+>", "*", span)
    if "/" in wanted:
        return span.startswith(KEYS) or any(
            matching(prefix + wanted.rstrip("/")) for prefix in SHORT_FORMS
        )
    folders = [name.rstrip("/") for name in _SPAN.findall(paragraph) if name.endswith("/")]
    if any(name.startswith(MADE) for name in folders) or any(
        matching(f"{prefix}{name}/{wanted}") for prefix in SHORT_FORMS for name in folders
    ):
        return True
    found = [path for path in tracked() if PurePosixPath(path).match(wanted)]
    return len(found) == 1 or wanted in found or (wanted.startswith("test_") and bool(found))


def matching(pattern: str) -> bool:
    """Return whether a path, or one that a pattern matches, exists."""
    if "*" not in pattern:
        return pattern in tracked()
    return any(PurePosixPath(path).full_match(pattern) for path in tracked())


def are_identifiers(span: str) -> bool:
    """Return whether the code has the identifiers of a span: a word alone, compounds in others."""
    words = _IDENTIFIER.findall(span)
    if words != [span] and span.lower() in lower_code():
        return True
    compounds = words if len(span.split()) == 1 else [w for w in words if _COMPOUND.search(w)]
    return {*compounds} <= identifiers() | OTHERS


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_in_backticks_exists(document: Path) -> None:
    """A file, command, route or identifier that a document names is there."""
    assert [span for span, paragraph in spans(document) if not is_known(span, paragraph)] == []


@pytest.mark.parametrize(
    "span",
    [
        "generations/shop.py",
        "tests/units/",
        "store.py",
        "test_nothing.py",
        "functions/<name>/lambda.py",
        "make coffee",
        "afterword key destroy",
        "GET /v1/generation/{id}",
        "/v2/usage",
        "--colour",
        "HandedBack",
        "hand_it_back",
        "Table.get_everything",
        "AFTERWORD_COLOUR=red",
        "brewed some coffee",
        "Idempotence-Key",
    ],
)
def test_a_wrong_name_is_found(span: str) -> None:
    """A name that is misspelt, was moved or never existed is not passed over."""
    assert not is_known(span, f"Read `{span}`.")


@pytest.mark.parametrize(
    "span",
    [
        "generations/store.py",
        "test_names.py",
        "functions/<name>/app.py",
        "make lint",
        "uv run afterword key create acme",
        "afterword webhook list | show",
        "GET /v1/generations/{any}",
        "--json",
        "OldestMessageAlarm",
        "Table.get_all",
        "AFTERWORD_WEBHOOK_RETRIES=5",
        "Idempotency-Key",
        '{"any": "JSON"}',
        "application/json",
    ],
)
def test_a_right_name_is_known(span: str) -> None:
    """A name that exists is passed over in each of its forms."""
    assert is_known(span, f"Read `{span}`.")
