"""Every performance claim, as a command: `uv run python -m bench` lists and runs them."""
