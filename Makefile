# `make test` sets up and runs everything; `make demo` shows it at work. What is built or fetched for tests lies outside the
# tree, in $BOWLINE_CACHE (bowline/ in the user's cache directory).
SHELL := /bin/bash -o pipefail
.SHELLFLAGS := -ec
.DEFAULT_GOAL := help
.PHONY: help demo demo-once test test-fast setup lint deny cluster-up cluster-down fuzz fuzz-short bench bench-short bench-engine differential

CARGO ?= cargo
# Tests over the case packs are ignored unless the folder that holds the packs is known.
INCLUDE_IGNORED := $(if $(BOWLINE_PACKS),--include-ignored)

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: ## Bowline on staging/ of a Git remote, on a control plane, until interrupted
	@tests/cluster/setup.sh control-plane tools >/dev/null
	@$(CARGO) build --bin bowline --example demo
	@exec $(CARGO) run --quiet --example demo

demo-once: ## the same, ending when every release is Ready
	@tests/cluster/setup.sh control-plane tools >/dev/null
	@$(CARGO) build --bin bowline --example demo
	@exec $(CARGO) run --quiet --example demo -- --once

test: ## set up, lint, and run all tests
	@$(MAKE) --no-print-directory -j2 --output-sync=none setup checks
	@$(MAKE) --no-print-directory deny
	$(CARGO) test --workspace --lib --bins -- $(INCLUDE_IGNORED)
	$(CARGO) test -p bowline-helm --test '*' -- $(INCLUDE_IGNORED)
	$(CARGO) test --test it -- $(INCLUDE_IGNORED)

test-fast: lint deny ## all that needs no control plane
	$(CARGO) test --workspace --lib --bins -- $(INCLUDE_IGNORED)
	$(CARGO) test -p bowline-helm --test '*' -- $(INCLUDE_IGNORED)

setup: ## build the control plane, fetch helm, kubectl and cargo-deny, install the servers for tests
	@tests/cluster/setup.sh

# The slow parts of a first run, which `make test` does while the control plane is being built.
.PHONY: checks
checks: lint
	$(CARGO) test --workspace --no-run

lint: ## formatting and clippy
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

deny: ## licences, bans and sources of dependencies; advisories where their database can be had
	@program=$$(tests/cluster/setup.sh tools | sed -n 's/^cargo-deny=//p'); \
	$$program --log-level error check licenses bans sources; \
	if $$program fetch db >/dev/null 2>&1; then $$program --log-level error check advisories; \
	else echo "advisories: not checked, their database cannot be had from here"; fi

cluster-up: ## start a control plane that stays; the last line is its kubeconfig
	@tests/cluster/cluster.sh up

cluster-down: ## end it
	@tests/cluster/cluster.sh down

FUZZ_TARGETS := template yaml yaml-round-trip json strvals semver regex schema archive release index
FUZZ_CORPUS ?= $(or $(BOWLINE_CACHE),$(HOME)/.cache/bowline)/fuzz
FUZZ_SECONDS ?= 600
# Counts the edges that an input reaches, so that those which reach new ones are kept.
FUZZ_FLAGS := -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=3 \
  -C llvm-args=-sanitizer-coverage-inline-8bit-counters -C debug-assertions

fuzz: ## each fuzz target for FUZZ_SECONDS (ten minutes)
	target=$$($(CARGO) metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/fuzz; \
	host=$$(rustc -vV | sed -n 's/^host: //p'); \
	RUSTFLAGS='$(FUZZ_FLAGS)' $(CARGO) build -p bowline-fuzz --release --target $$host --target-dir $$target; \
	for name in $(FUZZ_TARGETS); do \
	  $$target/$$host/release/fuzz $$name --seconds $(FUZZ_SECONDS) --corpus $(FUZZ_CORPUS); done

fuzz-short: ## each fuzz target for 30 s
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=30

# Any other controller that serves the API is measured by the same program: --controller 'its command line'.
CONTROLLER_BENCH := tests/bench/controller/bench.py
SHORT := --sizes 30 --idle-seconds 20 --compare tests/bench/controller/short.json

bench: ## the daemon with 100, 500 and 1000 releases: time, CPU, memory, requests (about half an hour; BENCH_ARGS for more)
	$(CARGO) build --release --bin bowline
	@target=$$($(CARGO) metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'); \
	mkdir -p $$target/bench; \
	$(CONTROLLER_BENCH) --program $$target/release/bowline --spread 1000 --pushes 100 \
	  --json $$target/bench/bench.json --svg $$target/bench/bench.svg $(BENCH_ARGS)

bench-short: ## 30 releases, against the recorded figures: fails when requests or memory grow
	$(CARGO) build --workspace
	@target=$$($(CARGO) metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'); \
	$(CONTROLLER_BENCH) --program $$target/debug/bowline $(SHORT)

ROWS := $(or $(BOWLINE_CACHE),$(HOME)/.cache/bowline)/differential
COUNT ?= 20000
SEED ?= $(shell date +%s)
HELM_VERSION := -X helm.sh/helm/v4/internal/version.version=v4.3.1 \
  -X helm.sh/helm/v4/internal/version.gitCommit=c0d08d0d6d9424d4a14febb5e8a3e51b0dd00dff \
  -X helm.sh/helm/v4/internal/version.gitTreeState=clean

differential: ## COUNT snippets and a fifth as many charts, written at random from SEED, through Helm and the engine (needs Go)
	@mkdir -p $(ROWS)
	cd tests/engine/oracle && GOWORK=off go build -ldflags '$(HELM_VERSION)' -o $(ROWS)/oracle . && \
	  $(ROWS)/oracle snippets $(COUNT) $(SEED) 2>/dev/null >$(ROWS)/snippets.jsonl && \
	  $(ROWS)/oracle charts $$(($(COUNT) / 5)) $(SEED) 2>/dev/null >$(ROWS)/charts.jsonl
	helm=$$(tests/cluster/setup.sh tools | sed -n 's/^helm=//p'); HELM=$$helm ENGINE_ROWS=$(ROWS) \
	  $(CARGO) test -p bowline-helm --test vectors --test charts --no-fail-fast generated -- --nocapture

BENCH := $(or $(BOWLINE_CACHE),$(HOME)/.cache/bowline)/bench
ROUNDS ?= 3

bench-engine: ## the engine against Helm's own, over the public charts (needs BOWLINE_PACKS)
	@test -n "$(BOWLINE_PACKS)" || { echo "BOWLINE_PACKS names no folder that holds the case packs"; exit 1; }
	@mkdir -p $(BENCH)
	@test -d $(BENCH)/charts || tar -C $(BENCH) --zstd -xf $(BOWLINE_PACKS)/helm-pack/charts.tar.zst
	cd tests/bench/engine/helm && GOWORK=off go build -o $(BENCH)/ . ./process
	$(CARGO) build --release --workspace --bin bowline --bin bench-engine
	@target=$$($(CARGO) metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release; \
	helm=$$(tests/cluster/setup.sh tools | sed -n 's/^helm=//p'); \
	$$target/bench-engine $(BOWLINE_PACKS)/helm-pack/cases.jsonl $(BENCH) $(ROUNDS) \
	  $(BENCH)/helm-engine $(BENCH)/process $$helm $$target/bowline
