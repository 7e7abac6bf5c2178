"""The viewer layer's build, and what of it is somebody else's."""

import gzip
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import afterword_viewer
from tests.conftest import ROOT

LAYER = ROOT / "layers" / "viewer"
DOCS = LAYER / "afterword_viewer" / "docs"
OWN = {"page.css", "page.js"}
MAX_BYTES = 1_000_000


def test_what_is_vendored_is_as_its_package_has_it() -> None:
    """Every file of the viewer that is not ours has the checksum that it was taken with."""
    lines = (LAYER / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split() for line in lines)}
    files = {path.name: path for path in DOCS.iterdir() if path.name not in OWN}
    assert {"LICENSE", "NOTICE", "swagger-ui-bundle.js", "swagger-ui.css"} <= files.keys()
    found = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    assert found == sums


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the layer as sam does, in a copy of its folder."""
    folder = tmp_path_factory.mktemp("viewer")
    shutil.copytree(LAYER.parent, folder / "source")
    subprocess.run(  # noqa: S603 - our own Makefile
        ["make", "-s", "build-ViewerLayer", f"PYTHON={sys.executable}"],  # noqa: S607 - the path's
        cwd=folder / "source",
        env={"ARTIFACTS_DIR": str(folder / "built"), "PATH": "/usr/bin:/bin"},
        check=True,
        stdout=subprocess.PIPE,
        timeout=60,
    )
    return folder / "built" / "python" / "afterword_viewer"


def test_the_layer_has_what_is_served_compressed(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function finds each file compressed already, the same as in the checkout."""
    for name in afterword_viewer.MEDIA_TYPES:
        assert not (built / name).exists()
        content = (LAYER / "afterword_viewer" / name).read_bytes()
        assert gzip.decompress((built / f"{name}.gz").read_bytes()) == content
    monkeypatch.setattr(afterword_viewer, "FOLDER", built)
    name = "docs/page.js"
    assert afterword_viewer.compressed(name) == (built / f"{name}.gz").read_bytes()


def test_the_layer_is_small_and_complete(built: Path) -> None:
    """The layer has the licence of what is not ours, bytecode, and less than a megabyte."""
    assert (built / "docs" / "LICENSE").exists()
    assert (built / "docs" / "NOTICE").exists()
    assert list((built / "__pycache__").glob("__init__.*.pyc"))
    assert sum(path.stat().st_size for path in built.rglob("*") if path.is_file()) < MAX_BYTES
