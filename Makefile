# Everything runs in .venv, made from requirements/dev.lock (pinned, with hashes).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= .demo
# One more than cores: a quarter of the time tests wait for a service, a timeout or a disk.
JOBS ?= $(shell $(PYTHON) -c 'from feature_store.cores import usable_cores; print(usable_cores() + 1)')
SHARED := $(or $(DESIREPATH_SHARED),../shared)/data
QUALITY = $(BIN)/python -m benchmarks.quality

.PHONY: demo test lint kernels collected docs lock conformance crash image-steps bench-ingest bench-assignment bench-forest bench-rules bench-latency bench-kernels bench-training bench-exploration \
	bench-off-policy bench-open-bandit bench-closed-loop bench-experiments bench-experiment-loop bench-faults bench-redis-clients \
	bench-quality-sessions bench-quality-topn bench-quality-retail bench-quality-repeats clean help

help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-24s %s\n", $$1, $$2}'

$(VENV)/.installed: requirements/dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Desirepath needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: $(VENV)/.installed ## simulate a shop (or LOG=path FORMAT=name), train, deliver and serve it with a page to browse
	$(BIN)/desirepath demo --dir $(DEMO) $(if $(LOG),--log $(LOG) $(if $(FORMAT),--format $(FORMAT)))

# A file is run by one process, so that what its tests share is made once; in the order of their
# names, because by the number of their tests the longest ones would come last.
# Hundreds of processes are started: bytecode is kept even where the environment says not to.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(VENV)/.installed ## lint, types, layers, spelling, and the whole test suite
	$(MAKE) --jobs=2 kernels lint collected
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

kernels: $(VENV)/.installed ## the service's machine code, once, so that not every start makes it
	$(BIN)/desirepath compile

collected: $(VENV)/.installed ## the tests, read once, so that not every process of the suite does
	$(BIN)/python -m pytest --collect-only --quiet > $(VENV)/collected.txt || { tail -n 40 $(VENV)/collected.txt; exit 1; }

lint: $(VENV)/.installed ## format, lint, types, layers, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

docs: $(VENV)/.installed ## write the generated parts of the documentation anew
	$(BIN)/python -m scripts.generate_docs

lock: $(VENV)/.installed ## resolve the dependencies anew
	$(BIN)/python -m pip install --quiet uv
	for extra in serving training dev; do \
		$(BIN)/uv pip compile --universal --generate-hashes --no-header --upgrade \
			--python-version 3.11 --extra $$extra $$([ $$extra = serving ] && echo --extra redis) pyproject.toml -o requirements/$$extra.lock --quiet; \
	done

conformance: $(VENV)/.installed ## independent vectors of other projects: how many hold, per suite and group
	$(BIN)/python -m pytest -q tests/conformance tests/serving/test_ofrep.py

crash: $(VENV)/.installed ## 500 rounds of SIGKILL against four writers
	DESIREPATH_CRASH_ROUNDS=500 $(BIN)/python -m pytest tests/faults/test_crash.py -x

image-steps: $(VENV)/.installed ## replay the Dockerfile's steps in an empty folder and ask the result one question
	$(BIN)/python -m scripts.image_steps

bench-ingest: $(VENV)/.installed ## durable events per second
	$(BIN)/python -m benchmarks.ingest

bench-assignment: $(VENV)/.installed ## the arms of a million ids by the service (1 and 4 workers, restarted) and by the command line
	$(BIN)/python -m benchmarks.assignment --json $(ARGS)

bench-forest: $(VENV)/.installed ## microseconds to score a query's candidates, against LightGBM
	$(BIN)/python -m benchmarks.forest

bench-rules: $(VENV)/.installed ## milliseconds of the pipeline without and with the shop's rules
	$(BIN)/python -m benchmarks.rules

bench-exploration: $(VENV)/.installed ## a million lists drawn, and how well they follow the logged probabilities
	$(BIN)/python -m benchmarks.exploration --draws 1000000

bench-off-policy: $(VENV)/.installed ## off-policy estimates of simulated lists, and how often they are near the truth
	$(BIN)/python -m benchmarks.off_policy --runs 200

bench-open-bandit: $(VENV)/.installed ## off-policy estimates on the Open Bandit logs, beside the truth (ARGS="--folder DIR")
	$(BIN)/python -m benchmarks.open_bandit $(ARGS)

bench-latency: $(VENV)/.installed ## the service over HTTP beside an empty route, loaded by wrk (ARGS="--quick", "--root .demo")
	$(BIN)/python -m benchmarks.latency --json $(ARGS)

bench-faults: $(VENV)/.installed ## the service while its Redis is killed, hung, slow or emptied, and its workers are killed (ARGS="--quick")
	$(BIN)/python -m benchmarks.faults --json $(ARGS)

bench-redis-clients: $(VENV)/.installed ## what one read from Redis costs, by client
	$(BIN)/python -m benchmarks.redis_clients --json $(ARGS)

bench-kernels: $(VENV)/.installed ## microseconds of the kernels; the exact search of a catalogue beside numpy (ARGS="--quick", "--bundle DIR")
	$(BIN)/python -m benchmarks.kernels $(ARGS)

bench-training: $(VENV)/.installed ## seconds and memory of training by stage, beside a bare fit (ARGS="--quick", "--events 1000000")
	$(BIN)/python -m benchmarks.training $(ARGS)

bench-closed-loop: $(VENV)/.installed ## real steps to purchase of the same simulated shoppers, for each policy (ARGS="--seeds 1,2,3 --policies file:plain,file,file:paceless,...")
	$(BIN)/python -m benchmarks.closed_loop $(ARGS)

bench-experiments: $(VENV)/.installed ## whether tests are read truly: A/A, sample ratio, every look, interleaving (ARGS="--seed 2")
	$(BIN)/python -m benchmarks.experiments --json $(ARGS)

bench-experiment-loop: $(VENV)/.installed ## champion against challenger over HTTP, decided from the log, up to MLflow (ARGS="--quick")
	$(BIN)/python -m benchmarks.experiment_loop $(ARGS)

bench-quality-sessions: $(VENV)/.installed ## the next item of public visits, beside popularity and session neighbours
	$(QUALITY) sessions --train $(SHARED)/sessions/retailrocket/train.parquet \
		--test $(SHARED)/sessions/retailrocket/test.parquet --json $(ARGS)

bench-quality-topn: $(VENV)/.installed ## public user-item lists, beside popularity and item neighbours
	$(QUALITY) topn --train $(SHARED)/gowalla/train.txt --test $(SHARED)/gowalla/test.txt --json $(ARGS)

bench-quality-retail: $(VENV)/.installed ## the next basket of a public log of invoices, beside habit
	$(QUALITY) retail --log $(SHARED)/online_retail_ii/transactions.parquet --format online-retail --json $(ARGS)

bench-quality-repeats: $(VENV)/.installed ## what is bought again in a public log of invoices, by rhythm and by frequency
	$(QUALITY) repeats --log $(SHARED)/online_retail_ii/transactions.parquet --format online-retail --json $(ARGS)

clean: ## remove everything that can be made again
	rm -rf $(VENV) $(DEMO) var build dist *.egg-info .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
