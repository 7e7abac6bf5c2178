"""The APIs that afterword speaks, one module each. A dialect translates and decides nothing."""
