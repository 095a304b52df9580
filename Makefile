# Sets itself up in .venv; needs Python 3.11 or later with its venv module.
PYTHON ?= python3
BIN := .venv/bin
ready := .venv/.ready
LOCKED := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate --no-header

.PHONY: test check screenshots demo bench faults faults-full bench-peers bench-peers-quick reference lock up down clean

test: $(ready)
	$(BIN)/pytest -n auto --maxprocesses=4 --dist worksteal $(ARGS)

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

# What the container image installs, by hashes and without addresses.
lock: $(ready)
	$(BIN)/uv pip compile $(LOCKED) --extra http --extra otel \
		--output-file deploy/container/requirements.txt pyproject.toml
	echo 'hatchling>=1.25' | $(BIN)/uv pip compile $(LOCKED) --output-file deploy/container/build-requirements.txt -

# All of the service in containers, on loopback; docs/containers.md. Needs Docker with Compose v2.
up:
	docker compose up --detach --build --wait
	@docker compose logs --no-log-prefix --tail 2 setup
	@echo "The dashboard is http://$$(docker compose port server 8080)/ and asks for a token:"
	@echo '    docker compose exec server pgq token create me --scope admin'

down:
	docker compose down

# Passwords for it.
.env:
	@umask 077; for name in SERVER WORKER GRAFANA; do \
		printf '%s_PASSWORD=%s\n' $$name "$$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"; \
	done > $@
	@echo '$@ has passwords; make up gives them to the database.'

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
