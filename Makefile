# The tasks of this project. `make` alone lists them.

.PHONY: help test storm lint layers msrv deny deploy docs fuzz bench services down

SECONDS_EACH ?= 60
# Tests wait as much as they compute.
export RUST_TEST_THREADS ?= $(shell echo $$((2 * $$(nproc))))

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: services deny ## run every test, on SQLite and on real servers
	@eval "$$(deploy/services env)" && cargo test --workspace --locked; status=$$?; \
	echo "PostgreSQL and RabbitMQ stay up for the next run; to stop them: make down"; exit $$status

storm: ## run the long storm, on servers of its own: about twenty minutes; HANDOVER_STORM_SEED=… repeats one
	HANDOVER_STORM_SCALE=$${HANDOVER_STORM_SCALE:-20} cargo test --locked --test storm

lint: deploy ## check format, clippy and documentation; warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items

layers: ## check the layers, and that no files import each other, in seconds
	@mkdir -p target && rustc --edition 2024 --test tests/it/layers/mod.rs -o target/layers && target/layers

msrv: ## check with the oldest Rust that is supported (rustup installs it)
	version=$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) && \
	CARGO_TARGET_DIR=target/msrv rustup run --install $$version cargo check --workspace --locked

deny: ## check licenses, sources, bans and advisories of dependencies
	@deploy/deny

deploy: ## lint the Dockerfile, compose, Kubernetes, systemd and workflow files
	@deploy/check

docs: ## check links, commands and generated pages, and build the book in target/book/docs (installs mdBook, once: minutes)
	cargo test --locked --test it -- docs::generated docs::mentioned docs::phrases docs::releases
	@PATH="$$PWD/target/tools/mdbook/bin:$$PATH"; command -v mdbook >/dev/null || \
	cargo install mdbook --locked --version 0.5.4 --root target/tools/mdbook; \
	PATH="$$PWD/target/tools/mdbook/bin:$$PATH" .ci/book

fuzz: ## run each fuzz target for a minute (needs nightly and cargo-fuzz; see fuzz/README.md)
	cd fuzz && for target in request catalog spreadsheet deal scim_filter scim_patch; do \
	  cargo +nightly fuzz run -O -a --sanitizer none $$target -- -max_total_time=$(SECONDS_EACH) -max_len=4096 || exit 1; \
	done

bench: ## compare with plain SQL and a Celery worker, on an idle machine (BENCH="small idle --rounds 3" for some of it)
	@deploy/services up durable
	cargo build --profile production --locked -p handover -p handover-bench
	@eval "$$(deploy/services env)" && target/production/handover-bench $(BENCH)

services: ## start the servers that the tests need, and wait until they answer
	@deploy/services up

down: ## stop them
	@deploy/services down
