# Every target sets up what it needs: a virtual environment under .venv, locked with hashes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PATHS := gateway identity audit adapters tests

.PHONY: help demo demo-once test lint format bench docs lock clean

help:
	@echo "make demo       start everything and tell the story; stays up until Ctrl-C"
	@echo "make demo-once  the same, scripted; exits 0 when every step went as told"
	@echo "make test       install what the tests need and run all of them"
	@echo "make lint       ruff, mypy --strict, import contracts"
	@echo "make bench      measure against nginx, Apache, HAProxy and Envoy (ONLY=throughput,body for parts)"
	@echo "make docs       check the documentation's links and examples"
	@echo "make format     ruff's formatter and safe fixes"
	@echo "make clean      remove what the other targets made"
	@echo "make lock       renew requirements/*.txt"

demo: $(VENV)/demo.stamp
	tests/parts/install.sh demo
	$(BIN)/python -m tests.demo

demo-once: $(VENV)/demo.stamp
	tests/parts/install.sh demo
	$(BIN)/python -m tests.demo --once

test: $(VENV)/dev.stamp
	tests/parts/install.sh test
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto --dist loadfile $(PYTEST)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --format=total --fail-under=95

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/bench.stamp
	tests/parts/install.sh bench
	$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY))

docs: $(VENV)/dev.stamp
	$(BIN)/python -m pytest tests/docs

# Each lock holds all of the one before it, so that one environment serves every target.
$(VENV)/run.stamp $(VENV)/demo.stamp $(VENV)/dev.stamp $(VENV)/bench.stamp: $(VENV)/%.stamp: requirements/%.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
		echo "python3's venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/pip install --quiet --require-hashes --requirement $<
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# bench.txt is resolved first and constrains the others: a package has one version in every lock.
LOCK := $(BIN)/pip-compile --quiet --upgrade --strip-extras --allow-unsafe --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links
lock: export CUSTOM_COMPILE_COMMAND = make lock
lock: $(VENV)/dev.stamp
	cd requirements && ../$(LOCK) --output-file bench.txt bench.in
	cd requirements && for name in run demo dev; do \
		../$(LOCK) --constraint bench.txt --output-file $$name.txt $$name.in || exit 1; done

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .coverage*
