# The two commands of a fresh machine are `make run` and `make test`; the rest is for development.

UV = ./bootstrap.sh
RUN = $(UV) run --frozen

# Where the environment forbids Python to keep what it compiled (containers do), each of the many
# processes of a test would compile all of it again: some seconds for every start.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help run test test-long test-fuzz test-browser test-agents check format wheel

help:  ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run:  ## Set up and start Wirescribe: proxy and server
	@$(RUN) --no-default-groups wirescribe up $(ARGS)

test:  ## Set up and pass the tests (Python alone)
	@$(RUN) pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

test-long:  ## Kills, floods and very large traffic (Python alone)
	@$(RUN) pytest -m long $(ARGS)

test-fuzz:  ## Ten thousand hypothesis examples for each decoder
	@$(RUN) pytest -m fuzz -n 2 --timeout 900 $(ARGS)

test-browser:  ## The tests that need a real Chromium
	@$(RUN) --group browser pytest -m browser $(ARGS)

test-agents:  ## The tests that drive the real agent CLIs (needs npm)
	@$(RUN) pytest -m agents $(ARGS)

check:  ## Lint, format, types, layering
	@$(RUN) ruff check
	@$(RUN) ruff format --check
	@$(RUN) mypy
	@$(RUN) pytest -q tests/test_layering.py

format:  ## Put the code into its format
	@$(RUN) ruff check --fix
	@$(RUN) ruff format

wheel:  ## Build the wheel into dist/
	@$(UV) build --wheel
