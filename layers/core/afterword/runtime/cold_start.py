"""The garbage collector during a cold start.

Imports make hundreds of thousands of objects, which all stay; collections among them take about a
tenth of a cold start (bench/README.md). So in Lambda the collector pauses from the first import of
this package until the handler is built, and skips all objects up to then.
"""

import gc
import sys


def begin() -> None:
    """Pause the collector in a Lambda runtime, and in no other program."""
    if "awslambdaric" in sys.modules:
        gc.disable()


def end() -> None:
    """Exempt all imported objects from collection, and start the collector again."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
