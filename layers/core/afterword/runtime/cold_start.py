"""The garbage collector during a cold start.

Importing makes hundreds of thousands of objects that all stay; collecting among them again and
again takes about a tenth of a cold start (bench/README.md). So in Lambda the collector pauses from
the first import of this package until the handler stands, and what is there then is never walked.
"""

import gc
import sys


def begin() -> None:
    """Pause the collector, if this process is a Lambda runtime and not somebody's own program."""
    if "awslambdaric" in sys.modules:
        gc.disable()


def end() -> None:
    """Set aside what has been imported, and let the collector run again."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
