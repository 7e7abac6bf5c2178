"""Functions that run by the clock."""

from collections.abc import Callable, Mapping

from afterword.handlers import Event, LambdaContext, LambdaHandler, seconds_left
from afterword.runtime import cold_start, telemetry

type Task = Callable[[float], Mapping[str, int]]
"""A function of the seconds that it has, which returns what it did as counts."""


def task(run: Task) -> LambdaHandler:
    """Make a function a Lambda handler of scheduled events."""

    def handler(_event: Event, context: LambdaContext) -> dict[str, int]:
        with telemetry.logger().append_context_keys(request_id=context.aws_request_id):
            return dict(run(seconds_left(context)))

    cold_start.end()
    return handler
