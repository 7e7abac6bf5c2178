"""The share of real documents that are read."""
