"""The projected tables: their shape, what writes them, and the swap of a rebuild."""
