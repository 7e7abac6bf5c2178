"""The embedded stack: the real template on ministack and a real model, on loopback, no Docker."""
