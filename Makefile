# Every check is defined here; CI calls these targets.

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
DIST := dist
TARGETS := $(shell uname -m)-unknown-linux-gnu $(shell uname -m)-unknown-linux-musl
INTERPRETERS = $(shell $(PYTHON) -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
# Folders in which sources are, and what stands for them in the messages of a panic.
REMAP := $(or $(CARGO_HOME),$(HOME)/.cargo)=cargo $(CURDIR)=replicate_rs
TASKS := 1000000
KILLS := 200
ROWS := 5000
, := ,

# Compiled modules are kept, whatever the surroundings say: each process that tests start would compile them again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup optimized demo test test-rust test-python test-fetch test-third-parties test-engines engines test-pythons test-newest-python check-platforms test-platforms stress fuzz mutants deny licenses sdist check-sdist wheels check-wheels check-release check-workflows chaos lint format typecheck bench bench-counts bench-local bench-holds performance migration notebooks screenshot clean docs docs-serve docs-version trace bench-engines simulate-batch

help:
	@echo 'make demo                run models on a photograph, without an account (PHOTO=path for your own)'
	@echo 'make test                run all tests, Rust and Python'
	@echo 'make test-fetch          run the tests of clients with every request passing through a fetch= function'
	@echo 'make test-third-parties  run libraries and programs that use the official client, with this package; OpenTelemetry 1.30'
	@echo 'make test-engines        run models on Ray Data, Dask and Spark, and kill workers in the middle (ROWS=5000 rows each)'
	@echo 'make engines             start a PostgreSQL for journals on a free port, until Ctrl-C'
	@echo 'make test-pythons        run the tests on other versions of Python (PYTHONS="3.12 3.13 3.14 3.15")'
	@echo 'make test-newest-python  run what depends most on the version of Python on the newest one'
	@echo 'make check-platforms     compile for Windows, macOS, arm64, musl and free-threaded Python (PLATFORMS=name for one)'
	@echo 'make test-platforms      try the tests of the Rust core for Windows under wine, for arm64 under qemu'
	@echo 'make stress              cancel a million tasks while their responses arrive (TASKS=1000000); threads that share a client; map that is killed (KILLS=200); a rate that workers share'
	@echo 'make fuzz                fuzz the parsers of bytes from outside (SECONDS=15 for each)'
	@echo 'make mutants             check that tests notice errors in the code (MUTATED="retry stream/sse")'
	@echo 'make chaos               call this library and replicate 1.0.7 under every fault; writes docs/reliability.md'
	@echo 'make deny                check licences, bans and sources of the crates'
	@echo 'make licenses            write THIRD_PARTY_LICENSES, after a change of crates'
	@echo 'make sdist               build a source distribution in dist/'
	@echo 'make check-sdist         build a source distribution, install it, and run a program with it'
	@echo 'make wheels              build wheels for this Python and for all, with glibc and with musl, in dist/'
	@echo 'make check-wheels        check what is in dist/, install each wheel and run a program with it'
	@echo 'make check-release       check that TAG=v1.2.3 is the version everywhere, and that FILES=dist is complete'
	@echo 'make lint                check formatting, lints, layers and workflows'
	@echo 'make check-workflows     check the hosted workflows, without the network'
	@echo 'make format              format both languages'
	@echo 'make typecheck           run mypy and pyright; compare the stub with the binary'
	@echo 'make bench               measure speed beside other libraries (JOB=name, QUICK=1)'
	@echo 'make performance         write docs/performance.md and its plots from the last make bench'
	@echo 'make bench-counts        count instructions per operation, compare with the committed counts (UPDATE=1 writes them)'
	@echo 'make bench-local         measure the throughput of the local server'
	@echo 'make bench-holds         measure how much later a run returns than a create request that waits'
	@echo 'make bench-engines       measure map on Ray Data, and with journals in PostgreSQL'
	@echo 'make simulate-batch      simulate map in several processes with a journal in PostgreSQL (STEP=rows for one part)'
	@echo 'make migration           write docs/migration.md from tools/surfaces.py'
	@echo 'make notebooks           run the notebooks of examples/, and write their outputs'
	@echo 'make docs                build the site in site/; a broken link or a public name without a description fails'
	@echo 'make docs-serve          show the site while its pages are written (PORT=8000)'
	@echo 'make docs-version        commit the site as VERSION=1.2 to the branch gh-pages, as a release does'
	@echo 'make trace               write the trace in docs/telemetry.md and its picture, from a run on the local server'
	@echo 'make screenshot          take the pictures in docs/ (needs chromium and chromium-driver)'
	@echo 'make clean               delete everything that these commands created'

# Modules are compiled when they are imported, which most never are.
PIP = $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check
# maturin and cargo name each download; what they print is shown if they fail.
QUIETLY = >$(VENV)/.log 2>&1 || { cat $(VENV)/.log; exit 1; }

# A virtual environment in which the package can be built.
$(VENV)/.build: tools/requirements-build.txt
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) -r $<
	@touch $@

# What `make demo` needs, too.
$(VENV)/.demo: $(VENV)/.build tools/requirements-demo.txt
	@$(PIP) -r tools/requirements-demo.txt
	@touch $@

# The tools that test and check the project, too.
$(VENV)/.tools: $(VENV)/.demo pyproject.toml tools/requirements.txt
	@echo 'Installing Python tools into $(VENV) (once, usually half a minute) ...'
	@$(PIP) -r tools/requirements.txt
	@touch $@

# The development build of the extension, in place; built again only when the Rust code changed.
$(BUILT): $(VENV)/.build $(RUST)
	@echo 'Compiling the Rust core (the first time usually two minutes, then seconds) ...'
	@$(BIN)/python tools/build_backend.py
	@VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --quiet $(QUIETLY)
	@touch $@

# The build that wheels have, in place of the development build: for measurements.
optimized: $(VENV)/.tools
	@echo 'Compiling the Rust core with all optimizations (usually three minutes) ...'
	@VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --release --quiet $(QUIETLY)
	@touch $(BUILT)

# The official Node client, for tests that are skipped without npm.
$(NODE)/.installed: tests/node/package.json tests/node/package-lock.json
	npm ci --prefix tests/node --no-audit --no-fund --loglevel error
	@touch $@

# pip, which uses one core, runs while the core is compiled.
setup:
	@$(MAKE) --no-print-directory -j2 $(VENV)/.tools $(BUILT)

demo:
	@$(MAKE) --no-print-directory -j2 $(VENV)/.demo $(BUILT)
	@$(BIN)/python examples/demo.py

test: test-rust test-python

test-rust:
	@echo 'Testing the Rust core (compiled first, usually a minute; the tests take seconds) ...'
	@cargo test --quiet --no-default-features --lib

# Most tests wait for sockets, so more run at once than there are cores. Python's development mode, which takes half as
# long again, is on in `make test-pythons`.
test-python: setup $(if $(shell command -v npm 2>/dev/null),$(NODE)/.installed)
	@echo 'Running the Python tests (usually eight minutes on two cores) ...'
	@$(BIN)/python -W error -m pytest --tx '4*popen//python=$(BIN)/python -W error' --dist loadgroup $(ARGS)

# Without the tests that are not about clients.
test-fetch: setup
	THROUGH_FETCH=1 $(BIN)/python -X dev -W error -m pytest --tx '4*popen//python=$(BIN)/python -X dev -W error' --dist loadgroup \
		--ignore=tests/local --ignore=tests/webhooks --ignore=tests/project $(ARGS)

# Third-party libraries have an environment of their own, with this checkout and without the official client.
.third-parties/.tools: tools/requirements-third-parties.txt tools/requirements-third-parties-bare.txt
	$(PYTHON) -m venv --clear .third-parties
	.third-parties/bin/python -m pip install --quiet --no-compile --disable-pip-version-check -r $<
	.third-parties/bin/python -m pip install --quiet --no-compile --disable-pip-version-check --no-deps -r $(word 2,$^)
	.third-parties/bin/python -c 'import site; open(site.getsitepackages()[0] + "/replicate_rs.pth", "w").write("$(abspath python)\n")'
	@touch $@

# The oldest OpenTelemetry that this package takes, which tests find before the one in $(VENV).
.third-parties/otel/.tools: tools/requirements-otel.txt | .third-parties/.tools
	rm -rf $(@D)
	.third-parties/bin/python -m pip install --quiet --no-compile --disable-pip-version-check --no-warn-conflicts --target $(@D) -r $<
	@touch $@

test-third-parties: setup .third-parties/.tools .third-parties/otel/.tools
	.third-parties/bin/python -m pytest tests/third_parties -n 3 --dist loadfile $(ARGS)
	$(if $(ARGS),,PYTHONPATH=.third-parties/otel $(BIN)/python -W error -m pytest tests/telemetry -n 3)

# Engines have an environment of their own, with this checkout. Spark needs Java.
.engines/.tools: tools/requirements-engines.txt
	$(PYTHON) -m venv --clear .engines
	.engines/bin/python -m pip install --quiet --no-compile --disable-pip-version-check -r $<
	.engines/bin/python -c 'import site; open(site.getsitepackages()[0] + "/replicate_rs.pth", "w").write("$(abspath python)\n")'
	@touch $@

test-engines: setup .engines/.tools
	@command -v java >/dev/null || { echo 'Java is missing: apt-get install default-jre-headless'; exit 1; }
	ENGINE_ROWS=$(ROWS) .engines/bin/python -m pytest tests/engines -n 2 --dist loadfile --timeout 300 $(ARGS)

# A PostgreSQL for journals, until Ctrl-C; its data are in a temporary folder.
engines: setup
	@$(BIN)/python tests/support/postgres.py

# tools/pythons.py finds the interpreters, and makes their environments in .pythons.
test-pythons: PYTHONS := 3.12 3.13 3.14 3.15
test-pythons: setup $(if $(shell command -v npm 2>/dev/null),$(NODE)/.installed)
	$(BIN)/python tools/pythons.py $(PYTHONS) --arguments='$(ARGS)'

# Where versions of Python differ most: forks, and the end of threads and programs.
test-newest-python: ARGS := $(patsubst %,tests/process/test_%.py,forks fork_threads workers endings)
test-newest-python: setup
	$(BIN)/python tools/pythons.py 3.15 --arguments='$(ARGS)'

# Compilers of other platforms are in .platforms. It takes 5 GB, and the first check half an hour on two cores.
check-platforms: $(VENV)/.tools
	$(BIN)/python tools/platforms.py check $(or $(PLATFORMS),x86_64-pc-windows-gnu aarch64-unknown-linux-gnu \
		x86_64-unknown-linux-musl aarch64-apple-darwin 3.14t)

test-platforms: $(VENV)/.tools
	$(BIN)/python tools/platforms.py test $(or $(PLATFORMS),x86_64-pc-windows-gnu aarch64-unknown-linux-gnu)

# The race between cancellation and responses, and threads that share a client, for longer than in the suite.
stress: setup
	STRESS_TASKS=$(TASKS) $(BIN)/python -m pytest tests/client/test_awaitable.py -k cancelled_as_their_answers --timeout 1800
	STRESS_SECONDS=60 $(BIN)/python -m pytest tests/process/test_process.py -k switch_often --timeout 1800
	STRESS_KILLS=$(KILLS) $(BIN)/python -m pytest tests/batch/test_map_kills.py -k paid_for_once --timeout 3600
	STRESS_SECONDS=60 $(BIN)/python -m pytest tests/batch/test_map_postgres.py -k share_the_rate --timeout 300

$(CARGO_FUZZ):
	cargo install --quiet --debug --root fuzz/target --locked cargo-fuzz@0.13.2

# RUSTC_BOOTSTRAP lets the stable compiler accept libFuzzer's unstable flags. Inputs that fail are in fuzz/artifacts.
fuzz: $(CARGO_FUZZ)
	for target in sse webhook retry data_uri address; do \
		RUSTC_BOOTSTRAP=1 $(CARGO_FUZZ) run --sanitizer none $$target -- \
			-max_total_time=$(SECONDS) -verbosity=0 $$(test ! -f fuzz/$$target.dict || echo -dict=fuzz/$$target.dict) || exit 1; \
	done

$(CARGO_MUTANTS):
	cargo install --quiet --root fuzz/target --locked cargo-mutants@27.1.0

# Mutants that no test notices are in target/mutants.out/missed.txt. Exit code 3 means that some ran into the time limit,
# which counts as noticed.
mutants: $(CARGO_MUTANTS)
	$(CARGO_MUTANTS) mutants --no-default-features -C --lib --minimum-test-timeout 10 -o target $(MUTATED:%=-f src/%.rs) \
		-- -- $(addsuffix ::,$(notdir $(MUTATED))) || [ $$? -eq 3 ]

$(CARGO_DENY):
	cargo install --quiet --debug --root fuzz/target --locked cargo-deny@0.20.2

deny: $(CARGO_DENY)
	cargo fetch --quiet --locked
	$(CARGO_DENY) --offline --log-level error check licenses bans sources
	$(PYTHON) tools/crates.py licenses --check

# Whenever a crate changed: the licences of what the extension contains.
licenses:
	cargo fetch --quiet --locked
	$(PYTHON) tools/crates.py licenses

.wheels/.tools: tools/requirements-wheels.txt
	$(PYTHON) -m venv --clear .wheels
	.wheels/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

sdist: .wheels/.tools
	.wheels/bin/maturin sdist --out $(DIST)

# As by a user for whose system there is no wheel, with the toolchain that RUSTUP_TOOLCHAIN names.
check-sdist: sdist
	$(PYTHON) -m venv --clear .wheels/sdist
	.wheels/sdist/bin/python -m pip install --quiet --disable-pip-version-check $(DIST)/replicate_rs-*.tar.gz
	cd .wheels && sdist/bin/python ../tools/smoke.py

# For each target, a wheel for all versions of Python and one for each version in INTERPRETERS, whose calls are faster; if
# ABI3T names a Python from 3.15, also one for it and all later versions, free-threaded or not. zig
# links with glibc 2.17 or with musl, whatever this machine has. No path of this machine is in them.
wheels: .wheels/.tools
	cargo fetch --quiet --locked
	for target in $(TARGETS); do \
		rustc --print target-libdir --target $$target | xargs test -d || rustup target add $$target || exit 1; \
		.wheels/bin/python tools/crates.py sbom $$target > .wheels/replicate_rs.cdx.json || exit 1; \
		for features in '' '--no-default-features --features python --interpreter $(INTERPRETERS)' $(if $(ABI3T),'--no-default-features --features python$(,)abi3t --interpreter $(ABI3T)'); do \
			PATH="$(abspath .wheels/bin):$$PATH" \
			RUSTFLAGS='$(REMAP:%=--remap-path-prefix=%)' CFLAGS='$(REMAP:%=-ffile-prefix-map=%)' \
			maturin build --quiet --release --locked --zig --target $$target $$features --out $(DIST) \
				--sbom-include .wheels/replicate_rs.cdx.json || exit 1; \
		done; \
	done

# Needs only the standard library.
check-release:
	$(PYTHON) tools/release.py $(TAG) $(FILES)

check-wheels: .wheels/.tools
	.wheels/bin/python tools/check_wheels.py $(DIST)

# Writes docs/reliability.md and docs/reliability-faults.md.
chaos: setup
	$(BIN)/python tests/chaos

lint: setup
	cargo fmt --check
	cargo clippy --quiet --all-targets -- -D warnings
	cargo clippy --quiet --all-targets --no-default-features -- -D warnings
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports --no-cache
	$(MAKE) --no-print-directory check-workflows

.workflows/.tools: tools/requirements-workflows.txt
	$(PYTHON) -m venv --clear .workflows
	.workflows/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

check-workflows: .workflows/.tools
	.workflows/bin/zizmor --offline --quiet .github
	.workflows/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.workflows/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml

format: setup
	cargo fmt
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

typecheck: setup
	$(BIN)/mypy
	$(BIN)/pyright
	PYTHONPATH=python $(BIN)/pyright --pythonpath $(BIN)/python --verifytypes replicate_rs --ignoreexternal | grep 'score: 100%'
	$(BIN)/python -m mypy.stubtest replicate_rs._core --mypy-config-file pyproject.toml

# The libraries to compare with have an environment of their own.
.bench/.tools: benches/requirements.txt benches/requirements-beta.txt
	$(PYTHON) -m venv .bench
	.bench/bin/python -m pip install --quiet --disable-pip-version-check 'maturin>=1.14,<2' -r benches/requirements.txt
	.bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target .bench/beta -r benches/requirements-beta.txt
	@touch $@

# What pip installs: the wheel for its version of Python, whose calls are faster than those of the wheel for all.
bench: .bench/.tools $(if $(shell command -v npm 2>/dev/null),$(NODE)/.installed)
	rm -rf .bench/wheels
	.bench/bin/maturin build --release --quiet --no-default-features --features python --interpreter .bench/bin/python --out .bench/wheels
	.bench/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps .bench/wheels/*.whl
	cargo build --release --quiet --no-default-features --example bench_server --example bench_parser --example bench_webhook
	.bench/bin/python benches/bench.py $(if $(JOB),--job $(JOB)) $(if $(QUICK),--quick)

# Instructions, counted with valgrind, do not depend on other load.
bench-counts: optimized
	@command -v valgrind >/dev/null || { echo 'valgrind is missing: apt-get install valgrind'; exit 1; }
	cargo build --release --quiet --no-default-features --example bench_server --example bench_counts
	$(BIN)/python benches/counts.py $(if $(UPDATE),--update)

bench-local: optimized
	$(BIN)/python benches/local.py

bench-holds: optimized
	$(BIN)/python benches/holds.py

# In the environment of the engines.
bench-engines: optimized .engines/.tools
	cargo build --release --quiet --no-default-features --example bench_server
	.engines/bin/python benches/engines.py
	.engines/bin/python benches/journals.py

# The local server and PostgreSQL stand in for what is on other machines. Half an hour.
simulate-batch: optimized
	cargo build --release --quiet --no-default-features --example bench_server
	PYTHONPATH=tests $(BIN)/python benches/simulate_batch.py $(STEP)

# Needs only the standard library.
performance:
	$(PYTHON) benches/performance.py

# To be run when this library or an official client has new names.
migration:
	$(PYTHON) tools/migration.py

# Outputs that differ in times, ids, ports and paths only stay as they are.
notebooks: setup
	@$(BIN)/python tools/notebooks.py

# To be run when spans have changed.
trace: setup
	$(BIN)/python tools/trace_picture.py

# To be run by hand when the web page has changed.
screenshot: setup
	PYTHONPATH=examples $(BIN)/python docs/screenshot.py

# The site reads the package as text, so that nothing is compiled.
.docs/.tools: tools/requirements-docs.txt
	$(PYTHON) -m venv --clear .docs
	.docs/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# The variable silences an advertisement. With --quiet, mkdocs would not count warnings.
docs docs-serve docs-version: export NO_MKDOCS_2_WARNING := 1

docs: .docs/.tools
	.docs/bin/mkdocs build

docs-serve: .docs/.tools
	.docs/bin/mkdocs serve --no-strict --watch python --watch README.md --dev-addr 127.0.0.1:$(or $(PORT),8000)

# Sources of a version are those of its tag.
docs-version: .docs/.tools
	DOCS_REF=v$(VERSION) PATH="$(abspath .docs/bin):$$PATH" .docs/bin/mike deploy --update-aliases $(VERSION) latest
	PATH="$(abspath .docs/bin):$$PATH" .docs/bin/mike set-default latest

clean:
	rm -rf $(VENV) .docs site .bench .third-parties .engines .pythons .platforms .wheels .workflows dist target fuzz/target output $(NODE)
