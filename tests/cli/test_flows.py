"""`afterword flow`, under moto."""

import json
from pathlib import Path

import pytest

from afterword.knowledge import Draft, folder_id
from afterword.services import services
from afterword.tenants.registry import Registry
from tests.cli.conftest import Afterword
from tests.conftest import FLOW, FLOW_DOCUMENT, SetClock

pytestmark = pytest.mark.usefixtures("stack", "set_clock")

GREETING = """\
id: greeting
name: Grüße
deadline_seconds: 1800
steps:
- name: reply
  instructions: |
    Answer politely.

    Promise nothing.
  max_tokens: 300
"""


@pytest.fixture
def registry(registry: Registry) -> Registry:
    """Return the registry, with the tenant demo in it."""
    registry.create_tenant("demo", "Demo")
    return registry


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a file with a flow."""
    path = tmp_path / "greeting.yaml"
    path.write_text(GREETING)
    return path


@pytest.mark.usefixtures("registry")
def test_a_flow_is_saved_and_shown_as_it_was_written(afterword: Afterword, file: Path) -> None:
    """`flow put` saves a file, `flow show` prints it so that `flow put` takes it again."""
    saved = afterword("flow", "put", "demo", file)
    assert (saved.exit_code, saved.stdout, saved.stderr) == (
        0,
        "",
        "Saved flow greeting of tenant demo as version 1.\n",
    )
    shown = afterword("flow", "show", "demo", "greeting")
    assert (shown.exit_code, shown.stdout, shown.stderr) == (0, GREETING, "")
    file.write_text(shown.stdout)
    assert afterword("flow", "put", "demo", file).exit_code == 0
    assert afterword("flow", "show", "demo", "greeting").stdout == GREETING


def test_a_flow_may_name_what_is_not_there_yet(
    afterword: Afterword, registry: Registry, file: Path
) -> None:
    """Folders and tags that are not there yet are told, and the flow is saved all the same."""
    draft = Draft(name="Returns", text="A text.", folder="Help", tags=("FAQ",))
    folder = services().contents.create("demo", draft).folder
    unknown = folder_id("demo", "Other")
    named = f"folders: [help, {folder.id}, Shop, {unknown}], tags: [faq, Lamps]"
    file.write_text(f"{GREETING}  context: {{{named}}}\n")
    result = afterword("flow", "put", "demo", file)
    yet = "yet: the step finds nothing in it until a content is added to it."
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        "",
        (
            "Saved flow greeting of tenant demo as version 1.\n"
            f"afterword: steps[0].context.folders: There is no folder Shop {yet}\n"
            f"afterword: steps[0].context.folders: There is no folder {unknown} {yet}\n"
            f"afterword: steps[0].context.tags: There is no tag Lamps {yet}\n"
        ),
    )
    assert [flow.id for flow in registry.list_flows("demo")] == ["greeting"]


@pytest.mark.usefixtures("registry")
def test_each_version_is_kept(afterword: Afterword, file: Path) -> None:
    """Saving again makes the next version, and leaves the ones before as they are."""
    afterword("flow", "put", "demo", file)
    file.write_text(GREETING.replace("300", "400"))
    again = afterword("flow", "put", "demo", file)
    assert again.stderr == "Saved flow greeting of tenant demo as version 2.\n"
    for version, tokens in ((1, "300"), (2, "400")):
        shown = afterword("flow", "show", "demo", "greeting", "--version", version)
        assert shown.stdout == GREETING.replace("300", tokens)
    assert "400" in afterword("flow", "show", "demo", "greeting").stdout
    missing = afterword("flow", "show", "demo", "greeting", "--version", "3")
    assert (missing.exit_code, missing.stderr) == (
        1,
        "afterword: Flow greeting has no version 3: the newest is 2.\n",
    )


def test_a_wrong_file_saves_nothing(afterword: Afterword, registry: Registry, file: Path) -> None:
    """A fault is told by file, line and field, and the flow stays as it was."""
    wrong = GREETING.replace("300", "200000").replace("  instructions", "  instruction")
    file.write_text(wrong.replace("1800", "86400"))
    result = afterword("flow", "put", "demo", file)
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        (
            f"{file}:3: deadline_seconds: must be less than or equal to 21600\n"
            f"{file}:6: steps[0].instruction: must be left out: there is no such field\n"
            f"{file}:10: steps[0].max_tokens: must be less than or equal to 100000\n"
        ),
    )
    assert list(registry.list_flows("demo")) == []


def test_flows_are_listed(
    afterword: Afterword, registry: Registry, set_clock: SetClock, file: Path
) -> None:
    """`flow list` shows the newest version of each flow."""
    registry.put_flow("demo", FLOW, FLOW_DOCUMENT)
    afterword("flow", "put", "demo", file)
    set_clock.advance(hours=1)
    afterword("flow", "put", "demo", file)
    listed = afterword("flow", "list", "demo")
    assert listed.stdout.splitlines() == [
        "ID          NAME                  VERSION  SAVED (UTC)",
        "greeting    Grüße                 2        2026-11-10 10:00",
        "mail-reply  Replies to customers  1        2026-11-10 09:00",
    ]
    assert json.loads(afterword("flow", "list", "demo", "--json").stdout) == [
        {
            "id": "greeting",
            "name": "Grüße",
            "version": 2,
            "created_at": "2026-11-10T10:00:00+00:00",
        },
        {
            "id": "mail-reply",
            "name": "Replies to customers",
            "version": 1,
            "created_at": "2026-11-10T09:00:00+00:00",
        },
    ]


@pytest.mark.parametrize("command", ["put", "list", "show"])
def test_flows_need_a_tenant(afterword: Afterword, file: Path, command: str) -> None:
    """Without such a tenant there is no flow to save or to show."""
    arguments = {"put": (str(file),), "list": (), "show": (FLOW,)}
    result = afterword("flow", command, "nobody", *arguments[command])
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        "afterword: There is no tenant nobody.\n",
    )


@pytest.mark.usefixtures("registry")
def test_an_unknown_flow_is_not_shown(afterword: Afterword) -> None:
    """A flow that the tenant does not have is one line."""
    result = afterword("flow", "show", "demo", "none")
    assert (result.exit_code, result.stderr) == (1, "afterword: There is no flow none.\n")


@pytest.mark.usefixtures("registry")
def test_flows_are_listed_in_parts(afterword: Afterword, registry: Registry) -> None:
    """`--limit` shows the first flows, and says how to go on; `--after` shows the next ones."""
    for name in ("a", "b", "c"):
        registry.put_flow("demo", name, json.dumps({"id": name, "name": name, "steps": []}))
    first = afterword("flow", "list", "demo", "--limit", "2", "--json")
    assert [flow["id"] for flow in json.loads(first.stdout)] == ["a", "b"]
    assert first.stderr == "There are more flows: --after b\n"
    rest = afterword("flow", "list", "demo", "--after", "b", "--json")
    assert ([flow["id"] for flow in json.loads(rest.stdout)], rest.stderr) == (["c"], "")


@pytest.mark.usefixtures("registry")
def test_a_flow_with_a_model_of_others_is_not_saved(
    afterword: Afterword, registry: Registry, file: Path
) -> None:
    """A flow with a model that the tenant may not use is refused, with the field."""
    registry.set_models("demo", ["small"])
    file.write_text(f"{GREETING}  model: large\n")
    result = afterword("flow", "put", "demo", file)
    assert (result.exit_code, result.stderr) == (
        1,
        "steps[0].model: must be a model that the tenant may use: small.\n",
    )
    assert list(registry.list_flows("demo")) == []
    afterword("tenant", "models", "demo", "--allow", "large")
    assert afterword("flow", "put", "demo", file).exit_code == 0
