# Everything that work on hsu-worker needs. `make` alone lists the targets.
#
# PYTHON=... names another interpreter than python3.11, VENV=... another folder for the environment,
# ARGS=... goes to what the target runs: make test ARGS="-k announce".
#
# Nothing but the targets of other languages needs their toolchains.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Three processes share the tests, each file to one of them: most of the time goes by waiting, so that two
# processors have room for them.
SHARED := --numprocesses 3 --dist loadfile
PIP := -m pip --disable-pip-version-check install --quiet

# The generator's protobuf is the floor of every user's protobuf, so its version is pinned, in an
# environment of its own: it needs protobuf < 7, while all else runs on the newest.
GEN_INSTALLED := .venv-gen/.installed
GEN := $(BIN)/hsu-worker gen --protoc ".venv-gen/bin/python -m grpc_tools.protoc"
GEN_OURS := $(GEN) -I proto --out hsu_worker/gen proto/*.proto proto/plugin/*.proto
GEN_TESTS := $(GEN) -I tests/protos --out tests/gen tests/protos/*.proto
GEN_TEMPLATE := $(GEN) -I templates/project/proto --out templates/project/hsu_template/gen \
	templates/project/proto/*.proto

# Languages beside Python: in examples/<language> a Makefile knows build, gen, check-gen and test.
LANGUAGES := go node rust java
# Those of them whose generated code is committed.
GENERATED := go node
PROTOC := $(CURDIR)/.venv-gen/bin/python -m grpc_tools.protoc

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r target text; do printf '%-23s %s\n' "$$target" "$$text"; done

# Sets up one environment: $(call environment,<folder>,<what to install>).
define environment
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name it with make PYTHON=..."; exit 1; }
	@echo "Setting up $(1) with $(PYTHON) ..."
	@test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
	$(1)/bin/python $(PIP) $(2)
	@touch $(1)/.installed
endef

.PHONY: install
install: $(INSTALLED)  ## Set up .venv: the package, editable, and all development tools
$(INSTALLED): pyproject.toml constraints.txt
	$(call environment,$(VENV),--editable '.[dev]' --constraint constraints.txt)

.venv-min/.installed: pyproject.toml constraints-min.txt
	$(call environment,.venv-min,--editable '.[dev]' --constraint constraints-min.txt)

$(GEN_INSTALLED): Makefile
	$(call environment,.venv-gen,grpcio-tools==1.76.0 'setuptools<81')

.PHONY: demo
demo: $(INSTALLED)  ## Index documents, search, summarise; ARGS="FOLDER --query WORDS" for your own
	$(BIN)/python examples/main/main.py $(ARGS)

.PHONY: test
test: $(INSTALLED)  ## Run all tests on the newest dependencies
	$(BIN)/python -m pytest $(SHARED) $(ARGS)

.PHONY: test-min
test-min: .venv-min/.installed  ## Run all tests on the oldest dependencies that are allowed
	.venv-min/bin/python -m pytest $(SHARED) $(ARGS)

.PHONY: build-example
build-example:  ## Build the example in Go, into examples/go/bin
	$(MAKE) --directory examples/go build

.PHONY: test-languages
test-languages: $(LANGUAGES:%=test-%) test-swaps  ## Test the examples in other languages; needs their toolchains

.PHONY: test-go
test-go: $(INSTALLED) build-example  ## Test the Go examples, by themselves and with a master
	$(MAKE) --directory examples/go test
	$(BIN)/python -m pytest tests/languages/go $(ARGS)

.PHONY: test-node
test-node: $(INSTALLED)  ## Test the TypeScript examples, by themselves and with a master
	$(MAKE) --directory examples/node test
	$(BIN)/python -m pytest tests/languages/node $(ARGS)

.PHONY: test-rust
test-rust: $(INSTALLED)  ## Test the Rust examples, by themselves and with a master
	$(MAKE) --directory examples/rust build
	$(MAKE) --directory examples/rust test
	$(BIN)/python -m pytest tests/languages/rust $(ARGS)

.PHONY: test-java
test-java: $(INSTALLED)  ## Test the Java example, by itself and with a master
	$(MAKE) --directory examples/java test
	$(BIN)/python -m pytest tests/languages/java $(ARGS)

# One language takes another's place: this takes what test-go and test-rust build.
.PHONY: test-swaps
test-swaps: $(INSTALLED) build-example  ## Exchange Python, Go and Rust under load, by the command
	$(MAKE) --directory examples/rust build
	$(BIN)/python -m pytest tests/languages/test_swap.py $(ARGS)

.PHONY: bench
bench: $(INSTALLED)  ## Measure starts, calls, memory; ARGS="--full --out bench/results/latest.json" for the docs
	$(BIN)/python -m bench $(ARGS)

.PHONY: first-steps
first-steps: $(INSTALLED)  ## Time the first steps of a user; ARGS=--keep for the docs
	$(BIN)/python -m bench.first_steps $(ARGS)

.PHONY: chaos
chaos: $(INSTALLED)  ## Attack a master for ten minutes; ARGS="--seconds 60 --seed 1"
	$(BIN)/python -m tests.master.chaos $(ARGS)

.PHONY: lint
lint: $(INSTALLED) types  ## Check format, rules, types, contracts and shell
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/buf lint
	$(BIN)/buf lint templates/project
	$(BIN)/buf format --diff --exit-code
	$(BIN)/buf format templates/project --diff --exit-code
	bash -n .ci/run
	$(MAKE) --dry-run --always-make --no-print-directory \
		$(filter-out $@,$(shell sed -n 's/^\.PHONY: //p' $(MAKEFILE_LIST))) | bash -n
	$(MAKE) --dry-run --always-make --no-print-directory --directory templates/project \
		help install gen check-gen test lint format serve master image clean | bash -n

.PHONY: types
types: $(INSTALLED)  ## Run both type checkers
	$(BIN)/mypy
	$(BIN)/pyright

# Does something for each language whose toolchain is there: $(call for-languages,<target>).
define for-languages
	@for language in $(GENERATED); do \
		if missing=$$($(MAKE) --silent --no-print-directory --directory examples/$$language \
				toolchain 2> /dev/null); then \
			$(MAKE) --directory examples/$$language $(1) PROTOC="$(PROTOC)" || exit 1; \
		else \
			echo "The generated code of $$language is left alone: $$missing"; \
		fi; \
	done
endef

.PHONY: gen-all
gen-all: $(INSTALLED) $(GEN_INSTALLED)  ## Make all code again that is made from .proto files
	$(GEN_OURS)
	$(GEN_TESTS)
	$(GEN_TEMPLATE)
	$(call for-languages,gen)

.PHONY: gen-go
gen-go: $(GEN_INSTALLED)  ## Make the Go code again that is made from .proto files
	$(MAKE) --directory examples/go gen PROTOC="$(PROTOC)"

.PHONY: gen-node
gen-node: $(GEN_INSTALLED)  ## Make the TypeScript again that is made from .proto files
	$(MAKE) --directory examples/node gen PROTOC="$(PROTOC)"

.PHONY: check-gen
check-gen: $(INSTALLED) $(GEN_INSTALLED)  ## Prove that the generated code is current
	$(GEN_OURS) --check
	$(GEN_TESTS) --check
	$(GEN_TEMPLATE) --check
	$(call for-languages,check-gen)

.PHONY: breaking
breaking: $(INSTALLED)  ## Compare proto/ with the last tag: nothing that is in use may break
	@tag=$$(git describe --tags --abbrev=0 2> /dev/null) || tag=; \
	if [ -z "$$tag" ]; then \
		echo "There is no tag to compare proto/ with."; \
	else \
		echo "Comparing proto/ with $$tag."; \
		$(BIN)/buf breaking --against ".git#tag=$$tag"; \
	fi

.PHONY: clean
clean:  ## Delete what the other targets made
	rm -rf .venv .venv-min .venv-gen dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf examples/*/bin examples/node/dist examples/node/node_modules examples/rust/target examples/java/target
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
