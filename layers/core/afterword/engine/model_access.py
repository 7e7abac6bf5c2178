"""The models that a tenant may use: a list of the owner's beside the tenant's limits."""

from typing import TYPE_CHECKING

from afterword.generations import FailedError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from afterword.flows.flow import Flow
    from afterword.tenants.rules import TenantRules

_SHOWN = 20
"""Models in a message."""


class ModelAccess:
    """Checks the models of flows by the rules of tenants.

    The deployment's own model is every tenant's: a flow that names no other costs no read.
    """

    def __init__(self, rules: "TenantRules", default_model: str | None) -> None:
        self._rules = rules
        self._default_model = default_model

    def list_problems(
        self, tenant: str, models: "Iterable[str | None]"
    ) -> "Iterator[tuple[str, str]]":
        """Yield the field of each model that the tenant may not use, with a message.

        The models are those of a flow's steps, None for a step without one.
        """
        named = [
            (number, model)
            for number, model in enumerate(models)
            if model not in {None, self._default_model}
        ]
        allowed = self._rules.get(tenant).models if named else None
        if allowed is None:
            return
        for number, model in named:
            if model not in allowed:
                shown = ", ".join(sorted(allowed)[:_SHOWN]) or "left out"
                yield (
                    f"steps[{number}].model",
                    f"must be a model that the tenant may use: {shown}.",
                )

    def check(self, tenant: str, flow: "Flow") -> None:
        """Raise FailedError for a flow with a model that the tenant may not use."""
        for field, message in self.list_problems(tenant, (step.model for step in flow.steps)):
            raise FailedError(
                Reason.MODEL_ACCESS_DENIED,
                f"{field}: {message} Save the flow with such a model, or let the stack's owner"
                " allow this one.",
            )
