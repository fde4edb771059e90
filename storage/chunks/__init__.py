"""How bodies are stored: cut into chunks by their content, each kept once, packed together."""
