"""The documents layer: the packages in it are those that its code uses."""

import ast
import json
import re
import sys
from importlib.metadata import packages_distributions

from afterword_documents import child
from afterword_documents.extraction import start
from tests.conftest import ROOT

MAILS = {"message/rfc822", "application/mbox"}
LAYER = ROOT / "layers" / "documents"


def test_the_layer_brings_what_its_code_imports() -> None:
    """The layer has the libraries that its package imports, and no other."""
    imported = set()
    for path in (LAYER / "afterword_documents").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import():
                    imported |= {alias.name.split(".")[0] for alias in node.names}
                case ast.ImportFrom(module=str(module)):
                    imported.add(module.split(".")[0])
    foreign = imported - sys.stdlib_module_names - {"afterword", "afterword_documents"}
    required = re.findall(r"(?m)^([\w.-]+)==", (LAYER / "requirements.txt").read_text())
    distributions = packages_distributions()
    assert sorted(distributions[name][0] for name in foreign) == sorted(required)


def _imported(*media_types: str) -> set[str]:
    """Return the modules in a process that has loaded these parsers."""
    script = (
        "import json, sys;"
        f"[child._load_parser(media_type) for media_type in {media_types}];"
        "print(json.dumps(sorted(sys.modules)))"
    )
    with start(script) as process:
        return set(json.loads(process.communicate(timeout=30)[0]))


def _core_of(modules: set[str]) -> set[str]:
    """Return the modules of the core but those that each import of it brings."""
    core = {name for name in modules if name.startswith("afterword.")}
    return core - {"afterword.records", "afterword.runtime", "afterword.runtime.cold_start"}


def test_a_document_is_parsed_by_little_code() -> None:
    """The process that parses imports its parser, and of the core only how texts are told."""
    parsers = set(child._PARSERS) - MAILS  # noqa: SLF001 - all but those of mails
    imported = _imported(*parsers)
    assert {"afterword_documents", "pypdfium2", "zipfile"} <= imported
    assert not {"botocore", "pydantic", "PIL", "numpy"} & imported
    assert _core_of(imported) == {"afterword.files", "afterword.files.encodings"}


def test_a_mail_is_parsed_by_little_code() -> None:
    """The process that parses a mail tells the types of attachments, and has no other core code."""
    imported = _imported(*MAILS)
    assert not {"botocore", "pydantic", "PIL", "numpy"} & imported
    assert _core_of(imported) == {
        f"afterword.files{module}"
        for module in ("", ".archives", ".encodings", ".mails", ".media_types", ".signatures")
    }
