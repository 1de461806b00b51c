# `make demo` and `make test` are all that a fresh machine needs: python3 with venv, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo-workspace

.PHONY: demo test lint style types sql soak bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	rm -rf $(DEMO)
	$(BIN)/quorum demo --workspace $(DEMO)

test: $(VENV)/installed
	$(MAKE) --jobs=2 --output-sync lint
	$(BIN)/pytest -m "not soak" --numprocesses 2 --dist loadfile --no-loadscope-reorder

soak: $(VENV)/installed
	$(BIN)/pytest -m soak

lint: style types sql

style: $(VENV)/installed
	$(BIN)/ruff check python bench
	$(BIN)/ruff format --check python bench

types: $(VENV)/installed
	$(BIN)/mypy

sql: $(VENV)/installed
	mkdir -p target/lint/warehouse target/lint/restricted
	QUORUM_WORKSPACE=target/lint $(BIN)/sqlfluff lint models tests --processes 2 --disable-progress-bar

bench: $(VENV)/installed
	$(BIN)/python bench/landing.py
	$(BIN)/python bench/nightly.py
	$(BIN)/python bench/tenant.py
	$(BIN)/python bench/redaction.py
	$(BIN)/python bench/free_text.py
	$(BIN)/python bench/release.py
	$(BIN)/python bench/publish.py

$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) target logs .mypy_cache .ruff_cache .pytest_cache
