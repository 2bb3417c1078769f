# Everything runs in .venv, installed through constraints.txt from the package registry alone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt
BUILD := pyproject.toml constraints.txt CMakeLists.txt tools/build_backend.py $(wildcard dasp/atoms/native/*)
STAMPS := $(VENV)/.stamps

.PHONY: help demo test lint format docs site gradients parity proxies proxy-study demo-record plugins bench regressions optimisation comparison reliability compat clean
.DEFAULT_GOAL := help

help: ## what the targets are
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 16

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit("dasp needs Python 3.11 or newer; name one: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo "== making $(VENV)"
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

# torch first: a CPU build lies at hand on some machines, and nothing else may choose another.
$(STAMPS)/torch: $(STAMPS)/venv constraints.txt
	@echo "== installing torch"
	$(PIP) torch numpy
	@touch $@

$(STAMPS)/demo: $(STAMPS)/torch $(BUILD)
	@echo "== installing dasp with its command line and the plugins"
	$(PIP) -e '.[mixing,plugins]'
	@touch $@

$(STAMPS)/dev: $(STAMPS)/torch $(BUILD)
	@echo "== installing dasp with everything its tests need"
	$(PIP) -e '.[dev]'
	@touch $@ $(STAMPS)/demo

demo: $(STAMPS)/demo ## mix the multitrack that ships with dasp by a trained console, then recover the hidden settings of a mix of it
	$(BIN)/dasp mix mixing/demo_data/francium -o demo_out/mix
	$(BIN)/dasp demo -o demo_out

test: lint ## lint, then every test
	$(BIN)/python -m pytest -n 2 -rs

lint: $(STAMPS)/dev ## ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(STAMPS)/dev ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMPS)/dev ## write the effects' tables into README.md and docs/effects.md
	$(BIN)/python tools/write_readme.py

site: $(STAMPS)/dev ## build the documentation site into build/site; warnings are errors
	$(BIN)/python tools/build_site.py

gradients: $(STAMPS)/dev ## measure how the strategies agree with float64 autodiff, into README.md and docs/
	$(BIN)/dasp gradients --all --steps --draws 4 --seconds 0.5 --json docs/gradients.json --page docs/gradients.md --readme README.md

parity: $(STAMPS)/dev ## certify the white boxes against Pedalboard, into README.md and docs/
	$(BIN)/python -m dasp.parity --json docs/parity.json
	$(BIN)/python tools/write_readme.py

proxies: $(STAMPS)/dev ## train and score the weights that are shipped: make proxies AUDIO=FOLDER ONLY="Compressor Limiter"
	$(BIN)/python tools/train_proxies.py $(AUDIO) $(ONLY)
	$(BIN)/python tools/write_readme.py

proxy-study: $(STAMPS)/dev ## what makes a proxy good, by many short trainings, into docs/proxy_study.md: make proxy-study AUDIO=FOLDER
	$(BIN)/python tools/study_proxies.py $(AUDIO) $(ONLY)

demo-record: $(STAMPS)/dev ## run the demo for three seeds and under every strategy, into README.md and docs/demo.md
	$(BIN)/python tools/record_demo.py

plugins: ## fetch real third-party VST3 plugins from Debian's packages into .plugins/, for the tests that use them
	$(PYTHON) tools/fetch_plugins.py

bench: ## dasp beside the field's libraries, into docs/benchmarks.md; some groups only: make bench ONLY="equalizer loss"
	$(PYTHON) tools/bench.py $(ONLY)

regressions: ## dasp's speed beside its peers' and the record, minutes, into docs/regressions.md; a new record: make regressions ARGS=--record
	$(PYTHON) tools/regressions.py $(ONLY) $(ARGS)

optimisation: $(STAMPS)/dev ## settings found by descent under each strategy, into docs/optimisation.md: make optimisation AUDIO=FOLDER ONLY="dasp:Limiter"
	$(BIN)/python -m benchmarks.optimisation $(ONLY) --audio $(AUDIO) --json docs/optimisation.json --page docs/optimisation.md $(ARGS)

comparison: $(STAMPS)/dev ## train and measure all mixing systems, hours, resumable: make comparison DATA=FOLDER ARGS="--only rules"
	$(BIN)/python -m benchmarks.comparison --data $(DATA) --json docs/comparison.json --page docs/comparison.md --readme README.md $(ARGS)

reliability: $(STAMPS)/dev ## try to break dasp and count, some 40 minutes, into docs/reliability.md
	$(BIN)/python -m benchmarks.reliability --json docs/reliability.json --page docs/reliability.md

compat: ## the oldest and newest torch and numpy, the core without extras, the wheel and the sdist, into docs/compat.md
	$(PYTHON) tools/compat.py

clean: ## remove what these targets made
	rm -rf $(VENV) .bench .compat .plugins build demo_out
