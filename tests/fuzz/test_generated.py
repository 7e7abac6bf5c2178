"""Requests that schemathesis makes after openapi.json: good ones, and ones that break it."""

import json
from copy import deepcopy
from typing import Any

import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, SerializationContext

from afterword.dialects.native.batches import LINES_TYPES
from tests.fuzz.conftest import World
from tests.fuzz.contract import DOCUMENT, OPERATIONS, SUCCESSES, Operation
from tests.fuzz.gateway import HttpResponse
from tests.simulation.two_tenants_runs import SEEDS, check

EXAMPLES, FEW = 25, 1


@schemathesis.serializer(*LINES_TYPES)
def as_it_is(_context: SerializationContext, value: object) -> bytes:
    """Return a text as it is sent, and what is no text as JSON."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace")


SCHEMA = schemathesis.openapi.from_dict(deepcopy(dict(DOCUMENT)))
CASES = [
    pytest.param(operation, mode, id=f"{operation.route}, {mode}")
    for operation in OPERATIONS
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if mode is GenerationMode.POSITIVE or operation.takes_something
]


@pytest.mark.parametrize(
    ("seed", "examples"),
    [
        pytest.param(SEEDS[0], FEW, id="few"),
        *(pytest.param(seed, EXAMPLES, id=str(seed), marks=pytest.mark.long) for seed in SEEDS),
    ],
)
@pytest.mark.parametrize(("operation", "mode"), CASES)
def test_generated_requests(
    world: World, operation: Operation, mode: GenerationMode, seed: int, examples: int
) -> None:
    """A generated request gets a documented answer, and a refusal leaves nothing behind."""

    def send(inputs: tuple[Case[Any], bool, bool]) -> None:
        case, known_parameters, known_key = inputs
        if known_parameters:
            names = case.path_parameters
            known = world.make_parameters(operation)
            case.path_parameters = {name: known[name] for name in names}
            if "questionId" in (case.query or {}):
                case.query["questionId"] = world.parameters["questionId"]
            if operation.name == "give_feedback" and isinstance(case.body, dict):
                case.body["questionId"] = known["questionId"]
        headers = world.credentials(operation) if known_key else {}

        def ask() -> HttpResponse:
            case.call(app=world.gateway, headers=dict(headers))
            return world.gateway.answers[-1]

        response = world.judge(operation, ask)
        if mode is GenerationMode.POSITIVE and known_parameters and known_key:
            assert response.status in SUCCESSES | {400, 409, 422}

    cases = SCHEMA[operation.path][operation.method].as_strategy(generation_mode=mode)
    mostly = st.sampled_from([True, True, True, False])
    check(send, st.tuples(cases, mostly, mostly), seed, examples)
