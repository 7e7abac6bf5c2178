"""`python -m bench.sizes`: the MB that functions of the last build unpack (local/sizes.py)."""

import argparse

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from bench.results import write_results
from bench.runs import BUILD, check_build
from local.sizes import measure

CASES = {
    "an HTTP function": "GetGenerationFunction",
    "put_flow": "PutFlowFunction",
    "the worker": "GenerateFunction",
}


def main() -> None:
    """Print the sizes, and write them beside it."""
    argparse.ArgumentParser(prog="python -m bench.sizes", description=__doc__).parse_args()
    check_build()
    sizes = measure(yaml_parse((BUILD / "template.yaml").read_text()), BUILD)
    unpacked = {case: sizes.total(function) / 1_024 for case, function in CASES.items()}
    for case, size in unpacked.items():
        print(f"{case}: {size:.1f} MB")
    write_results("sizes", {"unpacked MB": unpacked})


if __name__ == "__main__":
    main()
