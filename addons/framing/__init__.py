"""Bytes to events: incremental, pure and total. Imports nothing of ours."""
