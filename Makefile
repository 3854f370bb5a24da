# Every target sets up what it needs, so each works first on a bare machine.
#   make run     bring the lab up and run scenarios.yaml
#   make test    fast tests, then pages in a browser, then live ones on the lab
#   make proof   the long ones
#   make soak    half an hour of random faults (see docs/soak.md)
#   make check   lint, types, architecture
#   make bench   benchmarks against pgbench, sysbench, Locust and a bare loop (see docs/benchmarks.md)

PYTEST := .venv/bin/python -m pytest
SCENARIOS ?= scenarios.yaml
ARGS ?=

.PHONY: run test test-fast test-browser test-live proof soak check bench lab-up lab-down lab-status monitoring-up venv docker browser schema dashboards clean

run: lab-up
	.venv/bin/chaosbench run $(SCENARIOS) $(ARGS)

test: test-fast test-browser test-live

test-fast: venv
	$(PYTEST) --numprocesses=auto -m "not live and not proof and not browser" $(ARGS)

test-browser: venv browser
	$(PYTEST) -m "browser and not live and not proof" $(ARGS)

test-live: lab-up browser
	$(PYTEST) -m "live and not proof" $(ARGS)

proof: lab-up
	$(PYTEST) -m proof $(ARGS)

# Half an hour; goes on where an earlier one was interrupted. What came of it: docs/soak.md.
soak: lab-up
	.venv/bin/chaosbench run scenarios/soak-fast.yaml --resume auto $(ARGS)

check: venv
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

# ARGS='--quick' for a short version, '--rows cpu,startup' for some of it.
bench: lab-up
	@scripts/bench.sh
	.venv/bin/python -m bench $(ARGS)

lab-up: venv docker
	.venv/bin/chaosbench lab up

# The lab, with Prometheus, its exporters and (where its image can be had) Grafana.
monitoring-up: venv docker
	.venv/bin/chaosbench lab up --monitoring

lab-down: venv
	.venv/bin/chaosbench lab down

lab-status: venv
	.venv/bin/chaosbench lab status

venv:
	@scripts/venv.sh

docker:
	@infra/setup.sh

browser:
	@scripts/browser.sh

# What is generated from the code; a test holds the committed file to it.
schema: venv
	.venv/bin/python -c 'from chaosbench.results import schema_text; print(schema_text(), end="")' > docs/summary.schema.json
	.venv/bin/python -c 'from bench.results import schema_text; print(schema_text(), end="")' > docs/benchmarks.schema.json
	.venv/bin/python -c 'from chaosbench.scenarios.series_files import trials_schema_text as text; print(text(), end="")' > docs/trials.schema.json

dashboards: venv
	.venv/bin/python grafana/source/make.py

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build *.egg-info
