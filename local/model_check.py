"""The check of the stack's model, as `afterword model check` makes it."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword.errors import AfterwordError
from cli import model_checks, models
from cli import stack as stacks
from cli.terminal import plain_log
from local.aws import REGION, STACK
from local.terminal import say

if TYPE_CHECKING:
    from cli.model_checks import Outcome
    from local.stack import Stack

QUESTION_SECONDS = 30.0
ALL_SECONDS = 60.0
"""The most that the whole check takes: a slow model has other things to answer."""


async def check_model(stack: "Stack") -> None:
    """Say what flows can have of the stack's model, a line each, in ALL_SECONDS at most.

    A check that fails is one more line. Its thread may outlast a cancellation, and ends with the
    process.
    """
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    def tell(line: str | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: the stack has stopped
            loop.call_soon_threadsafe(lines.put_nowait, line)

    def work() -> None:
        try:
            with plain_log():
                for line in _lines(stack):
                    tell(line)
        except (AfterwordError, BotoCoreError, ClientError) as error:
            tell(f"the model cannot be checked: {error}")
        finally:
            tell(None)

    threading.Thread(target=work, daemon=True).start()
    while (line := await lines.get()) is not None:
        say(line)


def _lines(stack: "Stack") -> Iterator[str]:
    services = stacks.embedded(stack.endpoint, REGION, STACK, stack.bedrock)
    checked = models.of_stack(services, None)
    outcomes: list[Outcome] = []
    until = time.monotonic() + ALL_SECONDS
    for outcome in model_checks.ask_all(checked.model, checked.name, QUESTION_SECONDS, until):
        outcomes.append(outcome)
        yield models.show(outcome)
    yield from models.conclude(outcomes, checked.model.describe_adaptations(checked.name))
