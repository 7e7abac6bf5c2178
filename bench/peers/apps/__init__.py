"""The peers: one API, and three queues behind it. Their environment is .venv/peers."""
