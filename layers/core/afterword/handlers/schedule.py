"""Functions that EventBridge calls on a schedule."""

from collections.abc import Callable, Mapping

from afterword.handlers import Event, LambdaContext, LambdaHandler, invocation_deadline
from afterword.runtime import cold_start, telemetry
from afterword.runtime.deadline import Deadline

type Task = Callable[[Deadline], Mapping[str, int]]
"""A function of the invocation's deadline, which returns counts of its work."""


def task(run: Task) -> LambdaHandler:
    """Make a function a Lambda handler of scheduled events."""

    def handler(_event: Event, context: LambdaContext) -> dict[str, int]:
        with telemetry.logger().append_context_keys(request_id=context.aws_request_id):
            return dict(run(invocation_deadline(context)))

    cold_start.end()
    return handler
