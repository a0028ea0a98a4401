# A thin cover over dev.py, which does the work and explains itself: `make help`.
# `make` turns every failure into its own exit code 2; `python3 dev.py demo` gives the exact one.

PYTHON ?= python3
ARGS ?=
COMMANDS := setup demo test check gates fmt lint type arch bench bench-survival golden lock clean

.DEFAULT_GOAL := help
.PHONY: help $(COMMANDS)

help:
	@$(PYTHON) dev.py help

$(COMMANDS):
	@$(PYTHON) dev.py $@ $(ARGS)
