# The commands of this project; each works from a clean clone.
.PHONY: demo test lint bench build setup setup-test

demo: setup
	cargo build --release --bin cumulet
	scripts/demo

test: setup-test
	cargo build --bin cumulet --bin cumulet-test-function --bin cumulet-test-sdk
	scripts/test

lint:
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings
	scripts/deny
	cargo run --quiet --package xtask -- tidy

bench: setup-test
	cargo build --release --bin cumulet --bin cumulet-bench --bin cumulet-bench-instances
	scripts/bench

build:
	cargo build --release --bin cumulet

setup:
	scripts/setup

setup-test: setup
	scripts/setup --test
