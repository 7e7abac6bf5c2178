"""Chooses the model that the stack's worker calls."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from local.terminal import LocalError

OLLAMA = "http://127.0.0.1:11434/v1"
DEMO_MODEL = "smollm2-135m-instruct"
EMBEDDING_MODEL = "all-minilm-l6-v2"
"""The demo model that embeds passages, of English alone."""
NOT_SERVING = (401, 403, 500, 502, 503, 504)
PROVIDERS = ("bedrock", "openai", "demo")
EMBEDDINGS = ("demo", "openai")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A model and how to reach it. `url` is "" where the stack runs the server itself."""

    kind: str  # "demo", "openai", "ollama" or "bedrock"
    model: str
    url: str = ""
    api_key: str | None = None

    @property
    def description(self) -> str:
        """One line for the terminal."""
        match self.kind:
            case "demo":
                return f"{self.model} on llama.cpp, a small DEMO model: real, but not reliable"
            case "ollama":
                return f"{self.model} on the Ollama of this machine"
            case "bedrock":
                return f"{self.model} on Amazon Bedrock"
            case _:
                return f"{self.model} at {self.url}"


def choose(environ: Mapping[str, str]) -> Choice:
    """Return the model that the environment asks for, else an Ollama's, else the demo model.

    Raises LocalError when what it asks for cannot be had.
    """
    url = environ.get("AFTERWORD_MODEL_URL", "").rstrip("/")
    model = environ.get("AFTERWORD_MODEL", "")
    provider = environ.get("AFTERWORD_MODEL_PROVIDER", "openai" if url else "")
    if provider == "bedrock":
        if not model:
            raise LocalError("AFTERWORD_MODEL is not set: name the Bedrock model or profile to use")
        return Choice(kind="bedrock", model=model)
    if provider == "openai":
        if not url:
            raise LocalError("AFTERWORD_MODEL_URL is not set: give the API's base URL, as …/v1")
        return named(url, model, environ.get("AFTERWORD_MODEL_API_KEY"))
    if provider == "demo":
        return Choice(kind="demo", model=DEMO_MODEL)
    if provider:
        raise LocalError(
            f"AFTERWORD_MODEL_PROVIDER is {provider}: use one of {', '.join(PROVIDERS)}"
        )
    ollama = ollama_models()
    if model and model not in ollama:
        raise LocalError(
            f"AFTERWORD_MODEL is {model}, and there is no Ollama here that has it:"
            " set AFTERWORD_MODEL_URL, or AFTERWORD_MODEL_PROVIDER=bedrock"
        )
    if ollama:
        return Choice(kind="ollama", model=model or ollama[0], url=OLLAMA)
    return Choice(kind="demo", model=DEMO_MODEL)


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """An embedding model at an OpenAI-compatible URL; "" where the stack runs the server itself."""

    model: str
    url: str = ""


def choose_embedding(environ: Mapping[str, str]) -> Embedding | None:
    """Return the embedding model that the environment asks for; None to rank by words alone."""
    match environ.get("AFTERWORD_EMBEDDING", ""):
        case "":
            return None
        case "demo":
            return Embedding(model=EMBEDDING_MODEL)
        case "openai":
            url = environ.get("AFTERWORD_EMBEDDING_URL", "").rstrip("/")
            model = environ.get("AFTERWORD_EMBEDDING_MODEL", "")
            if url and model:
                return Embedding(model=model, url=url)
            raise LocalError(
                "AFTERWORD_EMBEDDING is openai: give AFTERWORD_EMBEDDING_URL, the API's base URL as"
                " …/v1, and AFTERWORD_EMBEDDING_MODEL"
            )
        case other:
            raise LocalError(f"AFTERWORD_EMBEDDING is {other}: use one of {', '.join(EMBEDDINGS)}")


def named(url: str, model: str, api_key: str | None) -> Choice:
    """Return the model at an OpenAI-compatible URL, which must answer and let us in.

    With a model's name given, it need not list its models: not every such endpoint does.
    """
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        answer = httpx.get(f"{url}/models", headers=headers, timeout=10)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise LocalError(
            f"AFTERWORD_MODEL_URL ({url}) does not answer: {error}".splitlines()[0]
        ) from error
    if answer.status_code in NOT_SERVING:
        raise LocalError(
            f"AFTERWORD_MODEL_URL ({url}) answers GET /models with {answer.status_code}:"
            " check the URL, which should end in /v1, and AFTERWORD_MODEL_API_KEY"
        )
    models = listed(answer)
    if not model and len(models) != 1:
        raise LocalError(
            f"AFTERWORD_MODEL is not set: name one of {', '.join(models)[:200]}"
            if models
            else f"AFTERWORD_MODEL is not set, and {url} lists no models: it should end in /v1"
        )
    return Choice(kind="openai", model=model or models[0], url=url, api_key=api_key)


def listed(answer: httpx.Response) -> list[str]:
    """Return the models that an answer to GET /models lists, none if it is no such list."""
    try:
        return [str(entry["id"]) for entry in answer.json()["data"] or []]
    except (ValueError, KeyError, TypeError):
        return []


def ollama_models() -> list[str]:
    """Return the chat models of the Ollama on this machine, none if there is none."""
    try:
        answer = httpx.get(f"{OLLAMA}/models", timeout=1)
    except httpx.HTTPError:
        return []
    return [name for name in listed(answer) if "embed" not in name]
