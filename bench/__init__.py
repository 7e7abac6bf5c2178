"""Benchmarks of the built functions, as ratios inside one run: `python -m bench`, README.md."""
