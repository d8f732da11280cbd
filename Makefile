# `make demo` and `make test` work on a machine with Python 3.11 or 3.12, make and a package index; nothing else.

BIN := .venv/bin
STAMP := .venv/.aftercall-installed
# Tried by running them: a pyenv shim may be on the path and still fail.
PYTHONS ?= python3.12 python3.11 python3
USABLE := import sys, venv, ensurepip, ssl, sqlite3; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))

# Many tests wait for brokers and processes: six go beside each other, on two cores too.
BESIDE := -n 6 --dist worksteal

# Tests start hundreds of processes, and each starts in half the time where bytecode is kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup lock audit demo test test-fast test-long test-all compiled check check-real check-cases check-formats bench-detection bench-engine bench-product bench-weeks bench-faults bench-kills bench-sizes bench-soak bench-insights bench-show bench-sdk bench-contracts bench-suite power-grid fuzz kafka test-kafka

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@if ! $(BIN)/python -c '$(USABLE)' 2>/dev/null; then \
	  for python in $(PYTHONS); do \
	    if "$$python" -c '$(USABLE)' 2>/dev/null; then found=$$python; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "make: needs a Python 3.11 or 3.12 with venv and ensurepip; none of '$(PYTHONS)' is one (install one, or say make PYTHONS=/path/to/python)" >&2; \
	    exit 2; \
	  fi; \
	  "$$found" -m venv --clear .venv; \
	fi
	@sed -n '/^uv==/,/[^\\]$$/p' constraints.txt > .venv/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -e . --group pipeline --group dev -c constraints.txt -b constraints.txt
	@touch $@

# Writes the versions and hashes in constraints.txt, after a change of pyproject.toml. UPGRADE=1 takes the newest versions
# that it allows; without it all stay that can.
UPGRADE ?=
GROUPS := pipeline dev report fuzz audit foreign bootstrap
lock: $(STAMP)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) $(GROUPS:%=--group %) pyproject.toml -o constraints.txt

# Fails on a known advisory about a package of constraints.txt that pyproject.toml does not accept with a reason and a date.
# Asks PyPI; AUDIT="--vulnerability-service osv --osv-url URL" asks another service, such as a copy of your own.
AUDIT ?=
AUDITOR := .venv/audit/.aftercall-installed
$(AUDITOR): $(STAMP)
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv/audit
	@$(BIN)/uv pip install --quiet --python .venv/audit/bin/python --group audit -c constraints.txt
	@touch $@

audit: $(AUDITOR)
	@$(BIN)/python -m benchmarks.audit .venv/audit/bin/pip-audit $(AUDIT)

demo: $(STAMP)
	@$(BIN)/aftercall demo

# At most 8 minutes on two idle cores; prints the minutes of each mark.
test: $(STAMP)
	$(BIN)/pytest -q $(BESIDE) -m "not long" --durations=15

# At most one minute on two idle cores (56 s measured); two processes, as each pays for imports and little here waits.
test-fast: $(STAMP)
	$(BIN)/pytest -q -n 2 --dist worksteal -m "not slow and not kafka and not statistics and not long"

# The tests that would make `make test` too long: many examples, many kills, waits for a broker. CI runs them too.
test-long: $(STAMP)
	$(BIN)/pytest -q $(BESIDE) -m long --durations=5

# Both in one go, as CI runs them: one broker, one collection, and what the tests of a file share is made once.
test-all: $(STAMP)
	$(BIN)/pytest -q $(BESIDE) --durations=25

# In a new checkout six processes would begin by compiling the same modules; one does it for them.
compiled: $(STAMP)
	@$(BIN)/pytest -q --collect-only >/dev/null

check: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q --doctest-modules sdk/aftercall models connectors flows

check-real: $(STAMP)
	$(BIN)/python -m benchmarks.check_real

# Inputs as people have them, where they lie beside the checkout: what was wanted against what came of it.
CASES ?=
check-cases: $(STAMP)
	$(BIN)/python -m benchmarks.check_cases $(if $(CASES),--only $(CASES))

# Suites of other programs with those programs as published, in environments of their own; needs a package index.
check-formats: $(STAMP)
	$(BIN)/python -m benchmarks.formats

bench-engine: $(STAMP)
	$(BIN)/python -m benchmarks.engine

# What users run: `aftercall replay`, and `aftercall run` on a real broker, beside commit f290d4d. SIZE=full for the record;
# SECTIONS="kafka steady" for some alone. Needs Java as `kafka` does.
SECTIONS ?=
bench-product: $(STAMP)
	$(BIN)/python -m benchmarks.product --size $(SIZE) $(if $(SECTIONS),--only $(SECTIONS))

# What the corrected rate said of recorded weeks, against what they finally were.
bench-weeks: $(STAMP)
	$(BIN)/python -m benchmarks.real_weeks --write

# Delays and false alarms of drift detection; two minutes, SIZE=full for the record: forty. Its plots need vl-convert,
# which is fetched at the first use.
SIZE ?= ci
REPORT := .venv/.aftercall-report
$(REPORT): $(STAMP)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --group report -c constraints.txt
	@touch $@

bench-detection: $(REPORT)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.detection --size $(SIZE)

# `aftercall run` on a real broker at a steady rate; needs Java as `kafka` does. MINUTES=2 for a look, without results.
HOURS ?= 1
MINUTES ?=
bench-soak: $(STAMP)
	$(BIN)/python -m benchmarks.soak $(if $(MINUTES),--minutes $(MINUTES),--hours $(HOURS))

# The decoder under atheris (libFuzzer), which is fetched at the first use and kept out of the environment's packages.
INPUTS ?= 1000000
ATHERIS := .venv/atheris-3.0.0
$(ATHERIS): $(STAMP)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --target $@ --group fuzz -c constraints.txt

fuzz: $(ATHERIS)
	PYTHONPATH=$(ATHERIS) $(BIN)/python -m benchmarks.fuzz_decoder --inputs $(INPUTS)

# Kills the pipeline that often on a real broker; 50 take about ten minutes.
KILLS ?= 5
bench-kills: $(STAMP)
	$(BIN)/python -m benchmarks.kills --kills $(KILLS) --write

# Every fault that the pipeline promises to survive, caused from outside; needs Java. Three quarters of an hour.
# FAULTS="killed poison" for some, without results.
FAULTS ?=
bench-faults: $(STAMP)
	$(BIN)/python -m benchmarks.faults $(if $(FAULTS),--only $(FAULTS),--write)

# Replays of extremes: very many configs, arms, outcomes without calls, statements of one call. About ten minutes.
bench-sizes: $(STAMP)
	$(BIN)/python -m benchmarks.sizes --write

# What `aftercall insights` takes of a snapshot with 10,000 groups, in CPU time beyond the start of the command.
bench-insights: $(STAMP)
	$(BIN)/python -m benchmarks.insights

# What `aftercall show` takes of a snapshot with a million calls, likewise.
bench-show: $(STAMP)
	$(BIN)/python -m benchmarks.show

# What the SDK costs an agent, beside OpenTelemetry and Langfuse, and what it loses through an outage of a real broker;
# needs Java. SIZE=full for the record; SECTIONS="limits paths" for some, without results. About four minutes.
bench-sdk: $(STAMP)
	$(BIN)/python -m benchmarks.sdk --size $(SIZE) $(if $(SECTIONS),--only $(SECTIONS)) $(if $(filter full,$(SIZE)),--write)

# What contracts cost, as ratios within one run. SECTIONS="text" for some parts alone. About a minute.
bench-contracts: $(STAMP)
	$(BIN)/python -m benchmarks.contracts --write $(if $(SECTIONS),--only $(SECTIONS))

# How rarely the gate over an evaluation suite is wrong, with fresh draws; `make bench-suite SECTIONS=gate` renews a part.
bench-suite: $(STAMP)
	$(BIN)/python -m benchmarks.suite --write $(if $(SECTIONS),--only $(SECTIONS))

# How soon a drop is noticed, at the nodes of a grid; after a change of the detector. Three minutes.
power-grid: $(STAMP)
	$(BIN)/python -m benchmarks.power_grid

# Apache Kafka in the foreground, ctrl-C stops it; needs Java 17, and Maven at the first use.
KAFKA_PORT ?= 9092
KAFKA_DATA ?=
kafka: $(STAMP)
	@exec $(BIN)/python -m benchmarks.kafka_broker --port $(KAFKA_PORT) $(if $(KAFKA_DATA),--data "$(KAFKA_DATA)")

# `make test` runs these too, and skips what needs a real broker where Java is absent; this target fails there.
test-kafka: $(STAMP)
	@test -n "$$KAFKA_BOOTSTRAP" || $(BIN)/python -m benchmarks.kafka_broker --fetch
	$(BIN)/pytest -q -m kafka
