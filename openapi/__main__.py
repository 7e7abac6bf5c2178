"""`python -m openapi`: write openapi.yaml and the served openapi.json.

`--check` writes nothing: the command fails if a file differs from openapi/, or if a client of the
released API (released.yaml) would break. `--release` makes the present API the released one.
"""

import argparse
import sys
from pathlib import Path

import yaml

from openapi import breaking
from openapi.document import JSON_FILE, RELEASED_FILE, ROOT, YAML_FILE, as_json, as_yaml, document


def main() -> int:
    """Write the files, or print their problems."""
    parser = argparse.ArgumentParser(prog="python -m openapi", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    which.add_argument(
        "--release", action="store_true", help="make the present API the released one"
    )
    arguments = parser.parse_args()
    described = document()
    files = {YAML_FILE: as_yaml(described), JSON_FILE: as_json(described)}
    if arguments.check:
        problems = stale(files) + breaking.unplanned(_released(), described)
        print("\n".join(problems), end="\n" if problems else "")
        return int(bool(problems))
    if arguments.release:
        files[RELEASED_FILE] = files[YAML_FILE]
    for path, text in files.items():
        path.write_text(text)
    return 0


def stale(files: dict[Path, str]) -> list[str]:
    """Return a sentence for each file that differs from its text."""
    return [
        f"{path.relative_to(ROOT)} differs from openapi/: run make openapi"
        for path, text in files.items()
        if not path.exists() or path.read_text() != text
    ]


def _released() -> breaking.Json:
    released: breaking.Json = yaml.safe_load(RELEASED_FILE.read_text())
    return released


if __name__ == "__main__":
    sys.exit(main())
