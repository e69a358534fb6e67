PYTHON ?= python3
BIN = .venv/bin

demo: .venv/server  ## run typed jobs through a local server, and kill a worker while it runs
	$(BIN)/python examples/demo.py

test: .venv/dev  ## run all tests, on all cores
	$(BIN)/python -m pytest -n auto

# Without the tests that start PostgreSQL servers, which take longer.
QUICKLY = $(addprefix tests/,base codecs http protocol engine client) $(wildcard tests/local/test_*.py)
test-oldest: .venv/dev  ## run the quick tests of the wheel, with the oldest allowed dependencies
	$(BIN)/python tests/matrix.py --python $(BIN)/python --dependencies oldest $(QUICKLY)

test-newest: .venv/dev  ## run the tests of the command line, with the newest dependencies
	$(BIN)/python tests/matrix.py --python $(BIN)/python --dependencies newest tests/cli

test-matrix: .venv/dev  ## run all tests on each installed Python, with the oldest and the newest dependencies
	$(BIN)/python tests/matrix.py

SOAKED = tests/faults tests/local/test_hostile.py tests/contract/test_model.py tests/contract/sdk/test_sdk_model.py tests/contract/test_beside.py
soak: .venv/dev  ## run the fault tests with 10,000 jobs and 20 kills, and long random sequences (half an hour)
	RELAY_FAULT_JOBS=10000 RELAY_FAULT_KILLS=20 RELAY_FAULT_MEMORY_JOBS=200000 RELAY_FAULT_CONNECTIONS=9500 \
	RELAY_TEST_SEQUENCES=300 RELAY_TEST_REQUESTS=5000 \
	$(BIN)/python -m pytest -n auto $(SOAKED) --timeout 1800

coverage: .venv/dev  ## run all tests, and check that they cover enough of the SDK
	$(BIN)/python -m pytest -n auto --cov

CHECKS = format lint mypy mypy-tests pyright layers generated

check: .venv/dev  ## check format, lint, types, layers, and that generated/ matches openapi/relay.yaml
	@$(MAKE) --no-print-directory --keep-going $(CHECKS:%=check-%)

$(CHECKS:%=check-%): .venv/dev
check-format:
	$(BIN)/ruff format --check
check-lint:
	$(BIN)/ruff check
check-mypy:
	$(BIN)/mypy
check-mypy-tests:
	$(BIN)/mypy tests/typing
check-pyright:
	$(BIN)/basedpyright
check-layers:
	$(BIN)/lint-imports
check-generated:
	$(BIN)/python openapi/generate.py --check

bench: .venv/dev  ## measure the SDK and its local server (some minutes); QUICK=1 only checks that it runs
	$(BIN)/python benchmarks/run.py $(if $(QUICK),--quick)

bench-peers: .venv/dev  ## measure pgqueuer, Dramatiq and Celery too (8 minutes)
	$(BIN)/python benchmarks/install_peers.py
	$(BIN)/python benchmarks/run.py --peers $(if $(QUICK),--quick)

generate: .venv/dev  ## regenerate generated/relay_api from openapi/relay.yaml
	$(BIN)/python openapi/generate.py

docs: $(or $(wildcard .venv/dev),.venv/docs)  ## build the documentation into build/site; a warning is an error
	$(BIN)/python docs/publish.py

dist: $(or $(wildcard .venv/dev),.venv/release)  ## build the distributions of a release into dist/, and check them
	$(BIN)/python tests/release.py

release: $(or $(wildcard .venv/dev),.venv/release)  ## run dist, and tag the version in pyproject.toml
	$(BIN)/python tests/release.py release

clean:  ## remove the virtual environments
	rm -rf .venv .venv-peers

# Without this check, a Python that is too old would fail late, with unrelated errors.
FROM = $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))
.venv/%: pyproject.toml constraints.txt
	@$(FROM) -c 'import sys; this = "%d.%d" % sys.version_info[:2]; \
	sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; $(FROM) is " + this + \
	". Use another one: make clean, then for instance make PYTHON=python3.13 test")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	touch $@

.PHONY: demo test soak test-oldest test-newest test-matrix coverage check $(CHECKS:%=check-%) \
	bench bench-peers generate docs dist release clean
