# Sets itself up in .venv; needs Python 3.11 or later with its venv module.
PYTHON ?= python3
BIN := .venv/bin
ready := .venv/.ready

.PHONY: test check screenshots demo bench faults faults-full bench-peers bench-peers-quick reference clean

test: $(ready)
	$(BIN)/pytest -n auto --maxprocesses=4 $(ARGS)

check: $(ready)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy pgq server worker examples bench

# Pictures of the dashboard for the docs; needs Chromium.
screenshots: $(ready)
	PGQ_SCREENSHOTS=1 $(BIN)/pytest tests/ui/test_pictures.py

demo: $(ready)
	$(BIN)/pgq demo

bench: $(ready)
	$(BIN)/pgq bench $(ARGS)

# What production does to a queue. Needs Linux, libfaketime, and root or namespaces for a small disk.
faults: $(ready)
	cd bench && ../$(BIN)/python -m faults $(ARGS)

# Hours, one row after the other: times decide as well.
faults-full: $(ready)
	cd bench && ../$(BIN)/python -m faults --full --beside 1 --record $(ARGS)

# Beside other queues, which it installs below build/; needs npm as well. A quiet machine.
bench-peers bench-peers-quick: $(ready)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --group peers
	$(BIN)/python -m peers $(if $(filter %-quick,$@),--quick) $(ARGS)

# The references that are made of the code: HTTP API, settings, checks of the doctor.
reference: $(ready)
	$(BIN)/python -m pgq_server.reference docs
	$(BIN)/python -m pgq_server.metrics docs
	$(BIN)/python -m pgq_worker.metrics docs
	$(BIN)/python -m pgq.reference docs

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build dist

$(ready): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv \
		|| { echo "Python's venv module is needed; Debian has it in python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[embedded]' --group dev
	@touch $@
