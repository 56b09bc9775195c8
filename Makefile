# SPDX-License-Identifier: MIT
# The one door to this project, for people and for machines. `make` lists what it can do.

CARGO ?= cargo
SAMOVAR = target/release/samovar
# What `make run` gives to `samovar run`, as in: make run ARGS="--log debug"
ARGS ?=
# Seconds of `make soak`.
SOAK ?= 900
# Seconds of `make fuzz` for each target, and targets at a time.
SECONDS ?= 60
JOBS ?= $(shell nproc)

.DEFAULT_GOAL := help
.PHONY: help build demo run devnet test unit sim sim-quick lint fmt doc fuzz fuzz-quick fuzz-tools supply deny ct miri interop sam-check sam-check-i2pd sam-abuse sam-abuse-quick bench soak chaos chaos-quick clients clients-third clients-quick clients-python clients-go flooder flood flood-quick

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the optimised command, target/release/samovar
	$(CARGO) build --release --locked --bin samovar

demo: build ## a private network in one process, and a file of 32 MiB sent through it
	$(SAMOVAR) demo $(ARGS)

run: build ## a router in the live network, SAM at 127.0.0.1:7656 (ARGS="...")
	$(SAMOVAR) run $(ARGS)

devnet: build ## a private network for your own programs, SAM at 127.0.0.1:7656 and 7666
	$(SAMOVAR) devnet $(ARGS)

test: lint doc supply unit sim-quick fuzz-quick sam-check sam-abuse-quick clients-quick clients-python clients-go interop chaos-quick flood-quick ## everything: lints, documents, tests, those against other routers too

unit: ## tests that need nothing but this tree
	SIM_SKIP=1 $(CARGO) test --locked --features sim

# What `make sim` runs: SCENARIO (default all), SEEDS from 1 on (default as each scenario wants), or one SEED.
sim: ## simulated networks (SEEDS=20 SCENARIO=name SEED=n)
	SCENARIO=$(SCENARIO) SEEDS=$(SEEDS) SEED=$(SEED) $(WORLDS)

sim-quick: ## what CI runs of sim: 20 seeds of most scenarios, one of the slow ones
	$(WORLDS)

# Worlds compute much: the library is optimised for them, the dependencies always are.
WORLDS = CARGO_PROFILE_TEST_OPT_LEVEL=1 $(CARGO) test --locked --features sim --test worlds

lint: ## formatting and clippy, warnings are errors
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --features sim -- -D warnings

doc: ## the documents of the library, warnings are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --lib --features sim

fuzz: ## every fuzz target for a while (SECONDS=60 TARGET=name JOBS=2), or one on a file (TARGET=name INPUT=file)
	fuzz/run.py --seconds $(SECONDS) --jobs $(JOBS) $(if $(TARGET),--target $(TARGET)) $(if $(INPUT),--input $(INPUT))

# The same seed each time, so that CI covers much the same from run to run. New ground is for `make fuzz`.
fuzz-quick: ## the short form: 20 seconds for each target
	fuzz/run.py --seconds 20 --jobs $(JOBS) --seed 1

fuzz-tools: ## cargo-fuzz in target/tools, to minimise inputs and see coverage
	$(CARGO) install cargo-fuzz --locked --root target/tools

supply: ## the tree of dependencies against .ci/deny.toml: size, licences, bans, sources (ADVISORIES=DIR: advisories too)
	python3 -B sam-tests/supply.py $(if $(ADVISORIES),--advisories $(ADVISORIES))

# Built once, into a folder of its own; takes minutes and, for the advisories, a network.
DENY = target/tools/bin/cargo-deny
$(DENY):
	$(CARGO) install cargo-deny --locked --root target/tools --target-dir target/tools/build

deny: $(DENY) ## the same and the known vulnerabilities, with cargo-deny
	$(DENY) --config .ci/deny.toml check licenses bans sources
	$(DENY) --config .ci/deny.toml check advisories || { echo "the advisory database could not be had or found something, see above"; exit 1; }

ct: ## whether times tell secrets: Welch's t over SAMPLES=100000 runs of each operation with a key
	SAMPLES=$(SAMPLES) $(CARGO) bench --locked --bench constant_time

# Takes `rustup component add miri rust-src --toolchain nightly` once.
miri: ## the codecs and what lies below every room in the interpreter that sees undefined behaviour
	MIRIFLAGS="-Zmiri-disable-isolation" PROPTEST_CASES=4 cargo +nightly miri test --locked --lib -- wire:: base::map base::timers

fmt: ## format the sources
	$(CARGO) fmt

# The tests start the optimised command, not whatever was built last.
interop bench soak chaos chaos-quick sam-check sam-abuse sam-abuse-quick clients-third clients-quick clients-go flood flood-quick: export SAMOVAR := $(CURDIR)/target/release/samovar

interop: build ## tests against i2pd on a private network (ARGS="--only WORD")
	sam-tests/interop.sh interop.py $(ARGS)
	sam-tests/interop.sh interop_keys.py $(ARGS)

# Everything that talks SAM and is not our own router.
clients: clients-third clients-python clients-go ## all tests of SAM clients: other people's and our own

clients-third: build ## BitTorrent and Python clients of others, in a private network (ARGS="--only WORD")
	sam-tests/clients/run.sh third.py $(ARGS)

clients-quick: build ## the quick ones among clients-third
	sam-tests/clients/run.sh third.py --quick $(ARGS)

clients-python: build ## our Python client and the tools, in a private network (ARGS="-k WORD")
	python3 clients/python/tests/run.py $(SAMOVAR) $(ARGS)

clients-go: build ## our Go client, and Go clients of others, in a private network (ARGS="-run WORD -v")
	sam-tests/clients/go_clients.py $(ARGS)

sam-check: $(if $(SAM),,build) ## the SAM conformance kit: against SAM=host:port [SAM2=host:port], or against our own devnet (ARGS="--only WORD")
ifdef SAM
	python3 -B sam-tests/conformance --sam $(SAM) $(if $(SAM2),--sam2 $(SAM2)) $(ARGS)
else
	sam-tests/sam_check.py ours $(ARGS)
endif

sam-abuse: build ## everything hostile at the SAM port of a real process (ARGS="--quick --only WORD")
	sam-tests/sam_abuse.py $(ARGS)

sam-abuse-quick: build ## the short form
	sam-tests/sam_abuse.py --quick $(ARGS)

sam-check-i2pd: ## the same against i2pd on a private network
	sam-tests/interop.sh sam_check.py i2pd $(ARGS)

bench: build ## speed and memory beside i2pd, as one table (ARGS="--quick")
	sam-tests/interop.sh bench.py $(ARGS)

soak: build ## streams that outlive their tunnels and leases (SOAK=seconds)
	sam-tests/interop.sh soak.py --seconds $(SOAK) $(ARGS)

flooder: ## build what floods, target/release/examples/samovar-flood
	$(CARGO) build --release --locked --features sim --example samovar-flood

flood: build flooder ## floods against our router and i2pd, and what honest traffic loses (ARGS="--only NAME --seconds N")
	sam-tests/interop.sh flood.py $(ARGS)

flood-quick: build ## the short form: ours alone, the router must live and go on
	$(CARGO) build --locked --features sim --example samovar-flood
	SAMOVAR_FLOOD=$(CURDIR)/target/debug/examples/samovar-flood sam-tests/interop.sh flood.py --quick $(ARGS)

chaos: build ## routers killed, stopped and starved under load (ARGS="--only WORD --kills 100 --soak 600")
	sam-tests/interop.sh chaos.py $(ARGS)

chaos-quick: build ## the short form of chaos, about two minutes
	sam-tests/interop.sh chaos.py --quick $(ARGS)
