"""The size of what is deployed, built as sam builds it, for both processors."""

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from local.sizes import FUNCTION_KB, LAYERS_KB, Sizes, measure
from tests.conftest import ROOT

MACHINES = {"x86_64": 0x3E, "arm64": 0xB7}  # e_machine of ELF


@pytest.fixture(scope="module", params=["x86_64", pytest.param("arm64", marks=pytest.mark.long)])
def architecture(request: pytest.FixtureRequest) -> str:
    """Return one processor after the other."""
    return str(request.param)


@pytest.fixture(scope="module")
def built(
    architecture: str, template: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a folder with what sam deploys: the layers by their Makefiles, the functions as is."""
    folder = tmp_path_factory.mktemp(architecture)
    for name, resource in template["Resources"].items():
        match resource["Type"]:
            case "AWS::Serverless::LayerVersion":
                source = folder / f"{name}-source"
                shutil.copytree(ROOT / resource["Properties"]["ContentUri"], source)
                make(name, source, folder / name, architecture)
            case "AWS::Serverless::Function":
                uri = resource["Properties"]["CodeUri"]
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / uri, folder / name, ignore=ignore)
    return folder


def make(layer: str, source: Path, artifacts: Path, architecture: str) -> None:
    """Run a layer's Makefile as `sam build` does, with this Python and the uv beside it."""
    binaries = ROOT / ".venv" / "bin"
    subprocess.run(  # noqa: S603 - our own Makefile
        ["make", "-s", f"build-{layer}", f"PYTHON={sys.executable}", f"UV={binaries / 'uv'}"],  # noqa: S607 - the path's
        cwd=source,
        env={
            "UV_CACHE_DIR": str(ROOT / ".venv" / "cache"),
            **os.environ,
            "ARTIFACTS_DIR": str(artifacts),
            "BUILD_ARCH": architecture,
        },
        check=True,
        stdout=subprocess.PIPE,
        timeout=300,
    )


@pytest.fixture(scope="module")
def sizes(built: Path, template: Mapping[str, Any]) -> Sizes:
    """Return how big it is."""
    return measure(template, built)


@pytest.mark.long  # `make build` holds the budget, too
def test_what_is_deployed_is_within_its_budget(sizes: Sizes) -> None:
    """No function, no layer and no function with its layers is bigger than it may be."""
    assert sizes.problems == []


@pytest.mark.long
def test_a_budget_is_not_idle(sizes: Sizes) -> None:
    """A layer that has become a third smaller gets a smaller budget."""
    for name, layer in sizes.layers.items():
        assert layer.zipped > LAYERS_KB[name][0] / 1.5
        assert layer.unzipped > LAYERS_KB[name][1] / 1.5


def test_the_layers_are_for_the_processor(built: Path, architecture: str) -> None:
    """Every library in the layers is for the processor that the functions run on."""
    libraries = [path for path in built.rglob("*.so*") if path.is_file()]
    assert any("pydantic_core" in path.name for path in libraries)
    assert any("Stemmer" in path.name for path in libraries)
    assert any("pdfium" in path.name for path in libraries)
    for path in libraries:
        with path.open("rb") as file:
            (machine,) = struct.unpack_from("<H", file.read(20), 18)
        assert machine == MACHINES[architecture], path


def test_what_is_over_a_budget_is_named(template: Mapping[str, Any], tmp_path: Path) -> None:
    """A function and a layer that are too big are named, and so is what Lambda would refuse."""
    resources = template["Resources"]
    layers = {name for name in resources if name.endswith("Layer")} - {"ViewerLayer"}
    small = {"HealthFunction", "GenerateFunction", *layers}
    part = {**template, "Resources": {name: resources[name] for name in sorted(small)}}
    for name, kilobytes in {
        "HealthFunction": FUNCTION_KB[1] + 1,
        "DocumentsLayer": 250_000,
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "data").write_bytes(bytes(1024) * kilobytes)
    (tmp_path / "CoreLayer").mkdir()
    (tmp_path / "CoreLayer" / "data").write_bytes(bytes(1024) * 7_000)
    problems = measure(part, tmp_path).problems
    assert [problem.split(" KB ")[0] for problem in problems] == [
        "DocumentsLayer has 250000",
        "HealthFunction has 3",
        "GenerateFunction has 257000",
    ]
