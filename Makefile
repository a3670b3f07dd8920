# Every check has its one definition here; CI and the README call these targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILT := $(VENV)/.built
NODE := tests/node/node_modules
RUST := Cargo.toml Cargo.lock $(shell find src -name '*.rs')
CARGO_FUZZ := fuzz/target/bin/cargo-fuzz
CARGO_DENY := fuzz/target/bin/cargo-deny
CARGO_MUTANTS := fuzz/target/bin/cargo-mutants
MUTATED := retry stream/resume webhook predictions/pace
SECONDS := 15
TASKS := 1000000

.PHONY: help setup demo test test-rust test-python test-fetch test-third-parties stress fuzz mutants deny chaos lint format typecheck bench bench-counts bench-local bench-holds performance migration screenshot clean

help:
	@echo 'make demo       run a model on a photograph, without an account (PHOTO=path for your own)'
	@echo 'make test       every test, Rust and Python'
	@echo 'make test-fetch the tests of clients once more, through a fetch= that passes every request on'
	@echo 'make test-third-parties  programs and libraries of other people, against the local server'
	@echo 'make stress     a million tasks that are cancelled as their answers arrive (TASKS=1000000)'
	@echo 'make fuzz       what reads bytes from outside, fed with made-up ones (SECONDS=15 each)'
	@echo 'make mutants    whether the tests notice errors that are put into the code (MUTATED="retry stream/sse")'
	@echo 'make chaos      what becomes of a call under every fault, here and in replicate 1.0.7'
	@echo 'make deny       licences, bans and sources of the crates'
	@echo 'make lint       format and lint, both languages'
	@echo 'make typecheck  mypy, pyright, and the stub against the binary'
	@echo 'make bench      speed beside other libraries (JOB=name, QUICK=1)'
	@echo 'make performance docs/performance.md and its plots, from the last make bench'
	@echo 'make bench-counts  instructions per operation, compared with the committed ones (UPDATE=1 writes them)'
	@echo 'make migration  docs/migration.md, from tools/surfaces.py'
	@echo 'make screenshot the pictures in the docs (needs chromium and chromium-driver)'

# A virtual environment with what the project's own files name.
$(VENV)/.tools: pyproject.toml tools/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tools/requirements.txt
	@touch $@

# The release build of the extension, in place; made again only when the Rust changed.
$(BUILT): $(VENV)/.tools $(RUST)
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --release --quiet
	@touch $@

# Node's official client, for the tests; where there is no npm, those are skipped.
$(NODE)/.installed: tests/node/package.json tests/node/package-lock.json
	npm ci --prefix tests/node --no-audit --no-fund --loglevel error
	@touch $@

setup: $(BUILT)

demo: setup
	@$(BIN)/python examples/demo.py

test: test-rust test-python

test-rust:
	cargo test --quiet --no-default-features --lib

# Most tests wait for sockets most of the time: more of them at once than there are cores.
test-python: setup $(if $(shell command -v npm 2>/dev/null),$(NODE)/.installed)
	$(BIN)/python -X dev -W error -m pytest --tx '4*popen//python=$(BIN)/python -X dev -W error' --dist loadgroup $(ARGS)

# What is not about clients is left out.
test-fetch: setup
	THROUGH_FETCH=1 $(BIN)/python -X dev -W error -m pytest --tx '4*popen//python=$(BIN)/python -X dev -W error' --dist loadgroup \
		--ignore=tests/local --ignore=tests/webhooks --ignore=tests/project $(ARGS)

# Programs and libraries of other people live in an environment of their own, which sees this checkout and not the official client.
.third-parties/.tools: tools/requirements-third-parties.txt tools/requirements-third-parties-bare.txt
	$(PYTHON) -m venv --clear .third-parties
	.third-parties/bin/python -m pip install --quiet --no-compile --disable-pip-version-check -r $<
	.third-parties/bin/python -m pip install --quiet --no-compile --disable-pip-version-check --no-deps -r $(word 2,$^)
	.third-parties/bin/python -c 'import site; open(site.getsitepackages()[0] + "/replicate_rs.pth", "w").write("$(abspath python)\n")'
	@touch $@

test-third-parties: setup .third-parties/.tools
	.third-parties/bin/python -m pytest tests/third_parties -n 3 --dist loadfile $(ARGS)

# The race of the suite's quick version, for longer.
stress: setup
	STRESS_TASKS=$(TASKS) $(BIN)/python -m pytest tests/client/test_awaitable.py -k cancelled_as_their_answers --timeout 1800

$(CARGO_FUZZ):
	cargo install --quiet --root fuzz/target --locked cargo-fuzz@0.13.2

# libFuzzer's flags are not stable yet: RUSTC_BOOTSTRAP has the stable compiler take them. What is found is kept in fuzz/artifacts.
fuzz: $(CARGO_FUZZ)
	for target in sse webhook retry data_uri address; do \
		RUSTC_BOOTSTRAP=1 $(CARGO_FUZZ) run --sanitizer none $$target -- \
			-max_total_time=$(SECONDS) -verbosity=0 $$(test ! -f fuzz/$$target.dict || echo -dict=fuzz/$$target.dict) || exit 1; \
	done

$(CARGO_MUTANTS):
	cargo install --quiet --root fuzz/target --locked cargo-mutants@27.1.0

# What no test notices is in target/mutants.out/missed.txt. The exit code 3 is for changes that make a test run for ever, which it notices.
mutants: $(CARGO_MUTANTS)
	$(CARGO_MUTANTS) mutants --no-default-features -C --lib --minimum-test-timeout 10 -o target $(MUTATED:%=-f src/%.rs) \
		-- -- $(addsuffix ::,$(notdir $(MUTATED))) || [ $$? -eq 3 ]

$(CARGO_DENY):
	cargo install --quiet --root fuzz/target --locked cargo-deny@0.20.2

deny: $(CARGO_DENY)
	cargo fetch --quiet --locked
	$(CARGO_DENY) --offline --log-level error check licenses bans sources

# Every fault, with both clients and with 1.0.7, into docs/reliability.md and docs/reliability-faults.md.
chaos: setup
	$(BIN)/python tests/chaos

lint: setup
	cargo fmt --check
	cargo clippy --quiet --all-targets -- -D warnings
	cargo clippy --quiet --all-targets --no-default-features -- -D warnings
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports --no-cache

format: setup
	cargo fmt
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

typecheck: setup
	$(BIN)/mypy
	$(BIN)/pyright
	PYTHONPATH=python $(BIN)/pyright --pythonpath $(BIN)/python --verifytypes replicate_rs --ignoreexternal | grep 'score: 100%'
	$(BIN)/python -m mypy.stubtest replicate_rs._core --mypy-config-file pyproject.toml

# The peers live in an environment of their own.
.bench/.tools: benches/requirements.txt benches/requirements-beta.txt
	$(PYTHON) -m venv .bench
	.bench/bin/python -m pip install --quiet --disable-pip-version-check 'maturin>=1.14,<2' -r benches/requirements.txt
	.bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target .bench/beta -r benches/requirements-beta.txt
	@touch $@

bench: .bench/.tools $(if $(shell command -v npm 2>/dev/null),$(NODE)/.installed)
	VIRTUAL_ENV=$(abspath .bench) .bench/bin/maturin develop --release --quiet
	cargo build --release --quiet --no-default-features --example bench_server --example bench_parser --example bench_webhook
	.bench/bin/python benches/bench.py $(if $(JOB),--job $(JOB)) $(if $(QUICK),--quick)

# Counts instructions with valgrind, so that other load on the machine does not matter.
bench-counts: setup
	@command -v valgrind >/dev/null || { echo 'valgrind is missing: apt-get install valgrind'; exit 1; }
	cargo build --release --quiet --no-default-features --example bench_server --example bench_counts
	$(BIN)/python benches/counts.py $(if $(UPDATE),--update)

bench-local: setup
	$(BIN)/python benches/local.py

# How much later a run learns of its end than a create that waits for it.
bench-holds: setup
	$(BIN)/python benches/holds.py

# The pages, plots and targets, from the last `make bench`; needs only the standard library.
performance:
	$(PYTHON) benches/performance.py

# When names were added, here or there.
migration:
	$(PYTHON) tools/migration.py

# By hand, when the web page has changed.
screenshot: setup
	PYTHONPATH=examples $(BIN)/python docs/screenshot.py

clean:
	rm -rf $(VENV) .bench .third-parties target fuzz/target output $(NODE)
