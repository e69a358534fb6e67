PYTHON ?= python3
BIN = .venv/bin

demo: .venv/server  ## run typed jobs through a local server, with a killed worker on the way
	$(BIN)/python examples/demo.py

test: .venv/dev  ## run all tests, on all cores
	$(BIN)/python -m pytest -n auto

test-oldest: .venv/dev  ## the quick tests, with the oldest dependencies that are allowed
	$(BIN)/python tests/matrix.py --python $(BIN)/python --dependencies oldest tests/sdk tests/local

test-httpx: .venv/dev  ## the SDK over a socket, as if httptools were not installed
	RELAY_TEST_TRANSPORT=httpx $(BIN)/python -m pytest -n auto tests/contract/sdk -k "socket and not trio"

test-matrix: .venv/dev  ## on each Python here, with the oldest and the newest dependencies
	$(BIN)/python tests/matrix.py

coverage: .venv/dev  ## that the tests in process still run as much of the SDK
	$(BIN)/coverage run -m pytest -q tests/sdk tests/worker tests/local
	$(BIN)/coverage report

check: .venv/dev  ## format, lint, types, layers, and that generated/ fits openapi/relay.yaml
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/mypy tests/typing
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/python openapi/generate.py --check

generate: .venv/dev  ## write generated/relay_api anew from openapi/relay.yaml
	$(BIN)/python openapi/generate.py

clean:  ## remove what the targets above installed
	rm -rf .venv

.venv/%: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	touch $@

.PHONY: demo test test-httpx test-oldest test-matrix coverage check generate clean
