# CI runs these targets. `make demo` and `make test` set up a fresh machine by themselves.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Test data from other projects. Without it, its tests are skipped with a note.
export PLIMSOLL_CORPUS ?= $(abspath $(wildcard ../shared/corpus))

VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml | head -1)

.PHONY: help
help: ## Lists all targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Installs the build tools, or says what to install
	@scripts/setup.sh

.PHONY: build
build: setup ## Builds target/release/plimsoll with the built-in bundle inside
	cargo build --release --package plimsoll

.PHONY: assets
assets:
	@tests/assets.sh --with kube-controller-manager >/dev/null

.PHONY: demo
demo: build $(if $(CLUSTER),,assets) ## Shows Plimsoll on a real API server, or with CLUSTER=current on the cluster that kubectl points at
	@cargo run --release --quiet --package plimsoll-tests --bin demo -- $(if $(CLUSTER),--cluster $(CLUSTER))

.PHONY: test
test: build assets ## Runs every test, also those against a real API server
	cargo test --release --workspace

.PHONY: lint
lint: build ## Checks formatting, clippy, generated pages, width of Markdown, and licences if cargo-deny is installed
	cargo fmt --all --check
	rustfmt --edition 2024 --check policies/src/*.rs policies/src/*/*.rs
	cargo clippy --release --workspace --all-targets -- -D warnings
	cargo clippy --release --package plimsoll --no-default-features --features check -- -D warnings
	cargo clippy --release --package plimsoll --no-default-features --features serve -- -D warnings
	scripts/docs.sh --check
	scripts/markdown-width.sh
	@if command -v cargo-deny >/dev/null; then cargo deny --offline check bans licenses sources; \
	else echo "lint: cargo-deny is not installed; deny.toml was not checked"; fi

.PHONY: docs
docs: build ## Writes the generated pages
	scripts/docs.sh
	PLIMSOLL_WRITE=1 cargo test --release --quiet --package plimsoll-policies --test coverage

.PHONY: bench
bench: setup ## Measures the cost of a review and of its context, as ratios within one run
	cargo bench --package plimsoll-tests --bench review --bench context
	cargo bench --package plimsoll-flat

.PHONY: package
package: build ## Packages the published crates, and builds them without a WebAssembly tool chain (minutes)
	scripts/package.sh --verify

.PHONY: image
image: setup ## Builds and tests the image, and packs it for `docker load` and `podman load` (minutes)
	scripts/rootfs.sh target/rootfs --test
	scripts/image-archive.sh target/rootfs target/plimsoll-image.tar plimsoll:$(VERSION)
	@if command -v skopeo >/dev/null; then skopeo inspect --config docker-archive:target/plimsoll-image.tar >/dev/null; fi

.PHONY: reproducible
reproducible: build ## Builds the built-in bundle twice more, and compares the bytes
	scripts/reproducible.sh
