"""Time for twice the text: each parser and each pattern takes about twice as long."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import pytest

from afterword.dialects import unless
from afterword.dialects.native import generations as native_generations
from afterword.dialects.unless import markup
from afterword.engine import prompting
from afterword.errors import AfterwordError
from afterword.files import media_types
from afterword.flows import classes, flow, outputs, placeholders, schemas, templates
from afterword.generations import AnswerToken, Completion, Output
from afterword.handlers import body_keys, multipart
from afterword.knowledge import citations, passages, words
from afterword.knowledge.questions import question_terms
from afterword.knowledge.ranking import Origin, Ranked
from afterword.models import error_detail, parameters, reasoning, reasons
from afterword.runtime import addresses, json_text, retry_after
from afterword.webhooks import hosts
from afterword_documents import encodings

LEAST_SECONDS = 0.001
"""CPU time of the shorter text, at least: a shorter time tells nothing."""
MAX_RATIO = 3.0
"""Four would be quadratic."""
PASSAGE = Ranked(
    Origin(content="c", title="A title", folder="f", external_id=None, source=None),
    "",
    "The house has a red roof and a green door.",
    1.0,
)
STEP = flow.Step(name="reply", prompt="{{text}} {{context}}", context=flow.Context())
ARRAY = schemas.Schema(
    {
        "type": "object",
        "properties": {"a": {"uniqueItems": True, "items": {"pattern": "^(a+)+$"}}},
        "additionalProperties": {"pattern": "(x+x+)+y"},
    }
)


CLASSES = (flow.Class(name="a"), flow.Class(name="b"))


def ask(text: str) -> None:
    """Find the words of a question."""
    question_terms(text, [])


def choose(text: str) -> None:
    """Measure a choice whose answer has a text in it, and whose tokens have that text twice."""
    answer = f'{{"{text}": 1, "classification": "b"}}'
    tokens = tuple(AnswerToken(each.encode(), -0.1) for each in text + answer)
    completion = Completion(
        text=answer, model="m", stop_reason="stop", tokens_in=1, tokens_out=1, tokens=tokens
    )
    assert classes.finish_choice(json.loads(answer), completion, CLASSES) is not None


LIST = flow.Step(name="list", prompt="x", output=Output.ARRAY)
OBJECT = flow.Step(
    name="object",
    prompt="x",
    output=Output.JSON,
    output_schema={"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"type": "array"}}},
)


def find_cause(text: str) -> None:
    """Read an error with these words, and look for its cause and for refused parameters."""
    detail = error_detail.read_error(text, 400)
    reasons.find_cause(detail)
    parameters.refused_parameters(detail, ("temperature", parameters.SYSTEM, "response_format"))


def finish(text: str, step: flow.Step = LIST) -> None:
    """Finish an answer of the model."""
    completion = Completion(text=text, model="m", stop_reason="stop", tokens_in=1, tokens_out=1)
    outputs.finish_answer(completion, step, None)


class Case(NamedTuple):
    """A function, and a text that would take it long, repeated n times."""

    name: str
    run: Callable[[str], object]
    text: Callable[[int], str]


CASES = [
    Case("fold: marks out of order", words.fold, lambda n: "a" + "\u0301\u0323" * n),
    Case("fold: vowels and voices", words.fold, lambda n: "ก" + "\u0e38\u0e48\u3099\u094d" * n),
    Case("split words: one word", words.split_words, lambda n: "é" * n),
    Case("split words: Han", words.split_words, lambda n: "文" * n),
    Case("a question of katakana", ask, lambda n: "カ" * n),
    Case("a question of hangul", ask, lambda n: "은" * n),
    Case("a question's particle", ask, lambda n: "wie ab " * n),
    Case("passages: dots", passages.cut_passages, lambda n: "." * n),
    Case("passages: blanks", passages.cut_passages, lambda n: "a" + " " * n + "b"),
    Case("passages: rules", passages.cut_passages, lambda n: "| -" * n),
    Case("passages: headings", passages.cut_passages, lambda n: "# a\n" * n),
    Case("passages: quotes", passages.cut_passages, lambda n: ".\"'" * n),
    Case(
        "citations: brackets", lambda text: citations.find_used(text, [PASSAGE]), lambda n: "[" * n
    ),
    Case(
        "citations: blanks",
        lambda text: citations.find_used(text, [PASSAGE]),
        lambda n: "[1" + " " * n,
    ),
    Case(
        "citations: numbers",
        lambda text: citations.find_used(text, [PASSAGE]),
        lambda n: "[1, " * n,
    ),
    Case(
        "citations: denials",
        lambda text: citations.find_used(text, [PASSAGE]),
        lambda n: "documents passages sources " * n,
    ),
    Case("classes: tokens", choose, lambda n: "{" * n),
    Case("classes: members", choose, lambda n: 'a": 1, "classification": "b", "' * (n // 10)),
    Case("answers: brackets", finish, lambda n: "So: " + "[" * n),
    Case("answers: arrays", finish, lambda n: "So: " + "[1]" * n),
    Case("answers: lists", finish, lambda n: "So: " + "[1," * n),
    Case("answers: objects", finish, lambda n: '{"a":' * n),
    Case("answers: quotes", finish, lambda n: 'So: ["' + '\\"' * n),
    Case("answers: strings", finish, lambda n: "So: [" + '"a" ' * n),
    Case("answers: escapes", finish, lambda n: 'So: ["' + "\\" * n),
    Case("answers: blanks", finish, lambda n: 'So: ["a",' + " " * n + "b"),
    Case("answers: blanks and brackets", finish, lambda n: "[ " * n + " " * n),
    Case("answers: commas", finish, lambda n: 'So: ["a"' + ", " * n + "]"),
    Case("answers: fences", finish, lambda n: "```json\n" * n),
    Case("answers: one array", finish, lambda n: 'So: ["' + "a" * n + '",]'),
    Case("answers: halves of pairs", finish, lambda n: '["' + "\\ud83d" * n + '"]'),
    Case(
        "answers: texts of objects",
        lambda text: finish(json.dumps({"a": text}), OBJECT),
        lambda n: '{"b": 1, "a": {"b": "[1, 2' + ", 3" * n + ']"}}',
    ),
    Case("reasoning: opening tags", reasoning.separate_reasoning, lambda n: "\n<think>" * n),
    Case("reasoning: closing tags", reasoning.separate_reasoning, lambda n: "</think>" * n),
    Case("reasoning: blocks", reasoning.separate_reasoning, lambda n: "a<think>b</think>" * n),
    Case(
        "reasoning: attributes",
        reasoning.separate_reasoning,
        lambda n: '<think a=1 b="x ' * n,
    ),
    Case("reasoning: quotes", reasoning.separate_reasoning, lambda n: "`<think>" * n),
    Case("reasoning: fences", reasoning.separate_reasoning, lambda n: "a ```\n<think>" * n),
    Case("reasoning: channels", reasoning.separate_reasoning, lambda n: "<|channel|>final " * n),
    Case("reasoning: analysis", reasoning.separate_reasoning, lambda n: "analysis " * n),
    Case("errors: words", find_cause, lambda n: "exceeds the credits of only a system role " * n),
    Case("errors: lists", find_cause, lambda n: json.dumps({"message": ["a"] * n})),
    Case("errors: lines", find_cause, lambda n: "temperature. " * n),
    Case("dates: blanks", retry_after.parse_retry_after, lambda n: "Tue, 10" + " " * n),
    Case("templates: braces", templates.list_names, lambda n: "{" * n),
    Case("templates: open names", templates.list_names, lambda n: "{{a" * n),
    Case("placeholders: brackets", placeholders.parse_template, lambda n: "[" * n),
    Case("placeholders: repeated", placeholders.parse_template, lambda n: "[a]" * n),
    Case(
        "prompts: values of one name",
        lambda text: prompting.build_prompt(STEP, {"text": [*text]}, None, "m"),
        lambda n: "a" * n,
    ),
    Case(
        "questions: values of one name",
        lambda text: prompting.build_question(flow.Context(question="{{a}}"), {"a": [*text]}),
        lambda n: "a" * n,
    ),
    Case("schemas: patterns", lambda text: ARRAY.accepts({"a": [text]}), lambda n: "a" * n + "!"),
    Case("schemas: names", lambda text: ARRAY.accepts({"b": text}), lambda n: "x" * n),
    Case(
        "schemas: unique items",
        lambda text: ARRAY.accepts({"a": [str(n) for n in range(len(text))]}),
        lambda n: "a" * (n // 10),
    ),
    Case("JSON: arrays", lambda text: json_text.parse_object(text.encode()), lambda n: "[" * n),
    Case(
        "JSON: members",
        lambda text: json_text.parse_object(text.encode()),
        lambda n: "{" + ",".join(f'"{each}":1' for each in range(n // 10)) + "}",
    ),
    Case("media types: tables", lambda text: media_types.detect(text.encode()), lambda n: "-" * n),
    Case("media types: tags", lambda text: media_types.detect(text.encode()), lambda n: "<p" * n),
    Case(
        "media types: links", lambda text: media_types.detect(text.encode()), lambda n: "[a](" * n
    ),
    Case("media types: rows", lambda text: media_types.detect(text.encode()), lambda n: 'a,"' * n),
    Case(
        "media types: other encodings",
        lambda text: media_types.detect(text.encode("latin-1")),
        lambda n: "é \xa0" * n,
    ),
    Case(
        "media types: comments",
        lambda text: media_types.detect(text.encode()),
        lambda n: "<!-- --><?x>" * n,
    ),
    Case(
        "encodings: declarations",
        lambda text: encodings.declared(text.encode()),
        lambda n: "<!--<meta charset " * n,
    ),
    Case(
        "encodings: western letters",
        lambda text: encodings.is_western(text.encode("latin-1")),
        lambda n: "é" * n,
    ),
    Case("encodings: escapes", encodings.clean, lambda n: "\x1b[1\x1b]" * n),
    Case("encodings: struck twice", encodings.clean, lambda n: "a\x08" * n),
    Case("headers: escapes", multipart.parse_parameters, lambda n: 'a; b="' + "\\" * n),
    Case("headers: parameters", multipart.parse_parameters, lambda n: "a" + "; b=c" * n),
    Case("headers: blanks", multipart.parse_parameters, lambda n: "a;" + " \t" * n),
    Case("addresses: labels", addresses.parse_url, lambda n: f"https://{'a.' * n}b/"),
    Case("addresses: paths", addresses.parse_url, lambda n: "https://a.b/" + "%" * n),
    Case("hosts", hosts.is_host, lambda n: "a-" * n),
    Case("HTML: brackets", markup.to_html, lambda n: "[a" * n),
    Case("HTML: links", markup.to_html, lambda n: "[a](https://a" * n),
    Case("HTML: addresses", markup.to_html, lambda n: "https://a.." * n),
    Case("HTML: stars", markup.to_html, lambda n: "**a *" * n),
    Case("HTML: blank lines", markup.to_html, lambda n: " \n" * n),
    Case("HTML: stars around links", markup.to_html, lambda n: "**[a](https://a" * n),
    Case("text of HTML: tags", markup.to_text, lambda n: "<a" * n + ">"),
    Case("text of HTML: one name", markup.to_text, lambda n: "<" + "a" * n + "<b>"),
    Case("text of HTML: links", markup.to_text, lambda n: "<a href='b'>c" * n),
    Case("text of HTML: addresses", markup.to_text, lambda n: "<a" + " href='" * n + ">"),
    Case("text of HTML: lines", markup.to_text, lambda n: "<br>" * n + "a>"),
    Case("text of HTML: signs", markup.to_text, lambda n: "<p>" + "&#1" * n + "</p>"),
    Case(
        "keys in bodies",
        lambda text: body_keys.find_body_key(text.encode()),
        lambda n: "{" + '"apiKey"   : "aw_a' * n,
    ),
    Case(
        "keys in forms",
        lambda text: body_keys.find_body_key(text.encode()),
        lambda n: "&apiKey=aw_a" * n + "=",
    ),
    Case("e-mail addresses", unless._EMAIL.fullmatch, lambda n: "a@" * n),  # noqa: SLF001 - a pattern of ours
    Case("preferences", native_generations._WAIT.fullmatch, lambda n: "wait" + " " * n),  # noqa: SLF001 - the same
]


def measure(case: Case, size: int) -> float:
    """Return the least CPU time of three runs; a refusal is as good as an answer."""
    text = case.text(size)
    times = []
    for _ in range(3):
        start = time.thread_time()
        with suppress(AfterwordError, schemas.TooComplexError):
            case.run(text)
        times.append(time.thread_time() - start)
    return min(times)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_twice_the_text_takes_about_twice_the_time(case: Case) -> None:
    """The time of each parser and pattern grows with its text, or not at all.

    A busy machine makes a time longer and none shorter, and so the least of five counts.
    """
    size = 1_000
    while measure(case, size) < LEAST_SECONDS and size < 256_000:
        size *= 2
    measured = [(measure(case, size), measure(case, 2 * size)) for _ in range(5)]
    shorter, longer = (min(times) for times in zip(*measured, strict=True))
    assert longer < MAX_RATIO * max(shorter, LEAST_SECONDS)
