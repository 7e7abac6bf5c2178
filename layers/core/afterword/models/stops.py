"""The reasons for which a model stopped: only known good ones make an answer a finished one."""

from enum import Enum, auto


class Stop(Enum):
    """The meaning of a stop reason."""

    FINISHED = auto()
    TRUNCATED = auto()
    REFUSED = auto()
    FAILED = auto()
    """The server gave up: another try may succeed."""
    UNKNOWN = auto()


_MEANINGS = {
    "": Stop.FINISHED,  # old servers
    "stop": Stop.FINISHED,
    "end_turn": Stop.FINISHED,
    "stop_sequence": Stop.FINISHED,
    "eos": Stop.FINISHED,  # Together
    "eos_token": Stop.FINISHED,  # Text Generation Inference, watsonx
    "complete": Stop.FINISHED,  # Cohere
    "length": Stop.TRUNCATED,
    "max_tokens": Stop.TRUNCATED,
    "max_output_tokens": Stop.TRUNCATED,
    "max_length": Stop.TRUNCATED,
    "model_length": Stop.TRUNCATED,  # Mistral: the model's own limit
    "model_context_window_exceeded": Stop.TRUNCATED,
    "content_filter": Stop.REFUSED,
    "content_filtered": Stop.REFUSED,
    "guardrail_intervened": Stop.REFUSED,
    "refusal": Stop.REFUSED,
    "safety": Stop.REFUSED,  # Gemini
    "recitation": Stop.REFUSED,
    "prohibited_content": Stop.REFUSED,
    "blocklist": Stop.REFUSED,
    "spii": Stop.REFUSED,
    "sensitive": Stop.REFUSED,  # Zhipu
    "error_toxic": Stop.REFUSED,  # Cohere
    "error": Stop.FAILED,  # OpenRouter
    "abort": Stop.FAILED,  # vLLM, SGLang
    "network_error": Stop.FAILED,  # Zhipu
    "insufficient_system_resource": Stop.FAILED,  # DeepSeek
}


def read_stop(reason: object) -> Stop:
    """Return the meaning of a stop reason; None is that of old servers.

    `tool_calls` and the like are unknown: no tool is offered, so the answer waits for nobody.
    """
    match reason:
        case None:
            return Stop.FINISHED
        case str():
            word, _, _ = reason.partition(":")  # Gemini: "content_filter: PROHIBITED_CONTENT"
            return _MEANINGS.get(word.strip().lower(), Stop.UNKNOWN)
        case _:
            return Stop.UNKNOWN
