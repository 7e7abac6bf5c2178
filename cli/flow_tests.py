"""`afterword flow test`."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Annotated

import typer

from afterword.engine.prompting import build_prompt
from afterword.errors import UnprocessableError
from afterword.files import Upload
from afterword.flows import documents, inputs
from afterword.flows import flow as flows
from afterword.flows.flow import Flow, read_stored_flow
from afterword.flows.inputs import ANY_TEXT, Input, Kind
from afterword.generations import Completion, Submission
from afterword.knowledge.ranking import Origin, Ranked
from afterword.tenants import is_name
from cli import flow_files, stack
from cli.arguments import AsJson, TenantId
from cli.content_files import is_text, show_path
from cli.flows import stored
from cli.generations import end, facts, follow
from cli.terminal import plain_log, result_json, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from afterword.files import SubmittedFile
    from afterword.flows.flow import Context, Step
    from afterword.generations import Values

_DIALECT = "native"
_MAIL = tuple(
    Input(name=name, label=name.title(), kind=Kind.LONG_TEXT, required=False)
    for name in flows.MAIL_INPUTS
)
_ANY_MODEL = "the stack's model"
_PASSAGE = Ranked(
    Origin(content="", title="{{title}}", folder=""), heading="", text="{{text}}", score=1.0
)
"""Stands for the passages that come in when a step is run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A step as its model is asked; `passages` says where those of the prompt come from."""

    step: str
    model: str
    max_tokens: int
    system: str
    user: str
    passages: str | None


def run(  # noqa: PLR0913, PLR0917 - a command's options are its parameters
    context: typer.Context,
    tenant: TenantId,
    flow: Annotated[
        str,
        typer.Argument(metavar="FLOW", help="The flow's id; or its file, which is not run."),
    ],
    version: Annotated[int | None, typer.Option(min=1, help="Default: the newest.")] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NAME=VALUE", help="An input; repeatable."),
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Option("--file", metavar="NAME=PATH", help="A file for an input; repeatable."),
    ] = None,
    timeout: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS", min=0, help="Stop waiting then, with exit code 1; it goes on."
        ),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show how a flow's models are asked, run it, and print the result; exit code 1 if it failed.

    The run is a generation like any other, by the deployment's own worker and model. A flow in a
    file is checked and shown, with {{name}} for the inputs that are not given.
    """
    sent: list[tuple[str, str | Upload]] = [
        *_pairs("--input", given),
        *((name, _upload(name, path)) for name, path in _pairs("--file", files)),
    ]
    if not is_name(flow):
        if version is not None:
            raise typer.BadParameter("a file has no versions", param_hint="--version")
        _show_file(tenant, Path(flow), sent, as_json=as_json)
        return
    services = stack.of(context)
    saved = stored(services.registry, tenant, flow, version)
    parsed = read_stored_flow(saved.document)
    values, attached = _checked(parsed, sent)
    steps = list(
        _asked(
            parsed,
            values,
            attached,
            services.settings.environ.get("AFTERWORD_MODEL_ID", _ANY_MODEL),
        )
    )
    if not as_json:
        _show(steps)
    submission = Submission(
        dialect=_DIALECT, flow=flow, inputs=values, template=None, external={}, files=attached
    )
    with plain_log():
        generation_id = services.submitter.submit(tenant, submission, flow=saved)
    say(f"Submitted {generation_id}, with version {saved.version} of flow {flow}.")
    generation = follow(services.store, tenant, generation_id, timeout)
    if not generation.status.terminal:
        say(
            f"afterword: Generation {generation_id} is still {generation.status} after {timeout} s;"
            f" it goes on: `afterword watch {tenant} {generation_id}` waits for it."
        )
        raise typer.Exit(1)
    results = services.store.get_step_results(tenant, generation_id)
    if not as_json:
        for step, result in zip(steps, results, strict=False):
            say(f"Result of step {step.step}:\n{indent(result.text, '    ')}\n")
        end(generation, as_json=False)
        return
    result_json(
        {
            "steps": [asdict(step) for step in steps],
            "results": [result.text for result in results],
            "generation": facts(generation),
        }
    )
    if generation.completion is None:
        raise typer.Exit(1)


def _show_file(
    tenant: str, path: Path, sent: "Sequence[tuple[str, str | Upload]]", *, as_json: bool
) -> None:
    flow = read_stored_flow(documents.render_document(flow_files.read(path)))
    values, files = _checked(flow, sent, partly=True)
    steps = list(_asked(flow, values, files, _ANY_MODEL))
    if as_json:
        result_json({"steps": [asdict(step) for step in steps], "generation": None})
    else:
        _show(steps)
    say(
        f"{path} is a flow. It was not run: save it with `afterword flow put {tenant} {path}`,"
        f" then run `afterword flow test {tenant} {flow.id}`."
    )


def _pairs(option: str, given: "Sequence[str] | None") -> "Iterator[tuple[str, str]]":
    for text in given or ():
        if not is_text(text):
            raise typer.BadParameter(f"{show_path(text)} is not UTF-8", param_hint=option)
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
        yield name, value


def _upload(name: str, path: str) -> Upload:
    try:
        return Upload(name=Path(path).name, content=Path(path).read_bytes())
    except OSError as error:
        raise typer.BadParameter(
            f"{name}: {path}: {error.strerror}", param_hint="--file"
        ) from error


def _checked(
    flow: Flow, sent: "Sequence[tuple[str, str | Upload]]", *, partly: bool = False
) -> "tuple[Values, tuple[SubmittedFile, ...]]":
    """Return the inputs of a flow, or raise UnprocessableError, which names the one that is wrong.

    A flow without declared inputs takes those of mails. `partly`: missing inputs are `{{name}}`.
    """
    declared = flow.inputs or (ANY_TEXT,)
    mail = not flow.inputs and any(name in flows.MAIL_INPUTS for name, _ in sent)
    if mail:
        declared = _MAIL
    if partly:
        declared = tuple(replace(each, required=False) for each in declared)
    values, files = inputs.check_inputs(declared, sent)
    if mail and not partly:
        if not {"subject", "body"} & values.keys():
            raise UnprocessableError("body", "must have a text, or the subject must.")
        values = {"subject": "", "body": "", **values}
    if partly:
        of_files = {file.input for file in files}
        values = {
            each.name: values.get(each.name, f"{{{{{each.name}}}}}")
            for each in declared
            if each.name not in of_files
        }
    return values, files


def _asked(
    flow: Flow, values: "Values", files: "Sequence[SubmittedFile]", default_model: str
) -> "Iterator[Asked]":
    """Return each step's prompt, with `{{name}}` for the results that are not known yet."""
    results: dict[str, Completion] = {}
    for step in flow.steps:
        prompt = build_prompt(
            step,
            values,
            None,
            default_model,
            results=results,
            texts=[(file.input, f"[{file.name}]") for file in files],
            passages=[_PASSAGE] if step.context else [],
        )
        yield Asked(
            step=step.name,
            model=prompt.model,
            max_tokens=prompt.max_tokens,
            system=prompt.system,
            user=prompt.user,
            passages=None if step.context is None else _come_in(step.context),
        )
        results[step.name] = _unknown(step)


def _unknown(step: "Step") -> Completion:
    return Completion(
        text=f"{{{{{step.name}}}}}", model=None, stop_reason="", tokens_in=0, tokens_out=0
    )


def _come_in(context: "Context") -> str:
    """Return which passages come in when a step is run."""
    folders = f" in {' or '.join(context.folders)}" if context.folders else ""
    tags = f" tagged {' or '.join(context.tags)}" if context.tags else ""
    return (
        f"up to {context.passages} passages of contents{folders}{tags} come in when the step is run"
    )


def _show(steps: "Sequence[Asked]") -> None:
    for number, step in enumerate(steps, 1):
        say(
            f"Step {step.step} ({number} of {len(steps)}): {step.model},"
            f" at most {step.max_tokens} tokens"
        )
        if step.passages is not None:
            say(f"  {step.passages[0].upper()}{step.passages[1:]}.")
        for who, text in (("System", step.system), ("User", step.user)):
            if text:
                say(f"{indent(who, '  ')}:\n{indent(text.rstrip('\n'), '    ')}")
        say("")
