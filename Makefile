# Thin on purpose: every target is one line. `make run PIPELINE=census ARGS="--root /tmp/census"`.
PYTHON ?= python3
PIPELINE ?= census
ARGS ?=
LOCK = $(if $(wildcard environment/$(PIPELINE).lock),$(PIPELINE),base)

.PHONY: help run notebooks test lint format bench lock clean

help: ; @sed -n 's/^#: //p' Makefile
#: make run [PIPELINE=census|taxi|payments|captions|FILE] [ARGS="..."]  sets up and runs a pipeline (census)
#: make notebooks                opens the notebooks in JupyterLab
#: make test [ARGS="tests/..."]  runs the tests
#: make lint | format            checks, or mends, the code
#: make bench [ARGS="..."]       measures against peers
#: make lock                     writes the lock files anew
#: make clean                    removes environment, cache and runs
#: beamfleet has more: .venv/bin/beamfleet --help

run: ; @$(PYTHON) environment/create.py $(LOCK) && .venv/bin/beamfleet run $(PIPELINE) $(ARGS)
notebooks: ; @$(PYTHON) environment/create.py dev && .venv/bin/jupyter lab notebooks
test: ; @$(PYTHON) environment/create.py dev && .venv/bin/python -m pytest -n 2 --dist loadfile $(ARGS)
lint: ; @$(PYTHON) environment/create.py dev && .venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports
format: ; @.venv/bin/ruff format . && .venv/bin/ruff check --fix .
bench: ; @$(PYTHON) environment/create.py dev && .venv/bin/python -m benchmarks $(ARGS)
lock: ; @.venv/bin/python environment/lock.py
clean: ; rm -rf .venv .cache runs build dist *.egg-info
