# What a newcomer needs: `make demo` and `make test` set up everything themselves.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NPROC := $(shell nproc 2>/dev/null || echo 2)
# Each process of the conformance tests starts an Orthanc, nodes and browsers of its own.
PEERS := $(shell echo $$(( $(NPROC) < 4 ? $(NPROC) : 4 )))

# CPU PyTorch unless asked otherwise: `make install TORCH=cuda` takes the default build with CUDA.
TORCH ?= cpu
TORCH_VERSION := $(shell sed -n 's/^torch==//p' constraints.txt)
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

APT_DEMO := orthanc orthanc-dicomweb
APT_TEST := $(APT_DEMO) dcmtk chromium fonts-dejavu-core nodejs npm \
            libpixelmed-java libxalan2-java default-jre-headless gcc libc6-dev
OHIF_VERSION := 3.13.2
OHIF := .peers/ohif/dist/index.html

.PHONY: install demo test prove lint format unit conformance peers peers-demo ohif constraints

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt pip setuptools
ifeq ($(TORCH),cpu)
	$(BIN)/pip install --quiet 'torch==$(TORCH_VERSION)+cpu' 2>/dev/null \
	  || $(BIN)/pip install --quiet --extra-index-url $(TORCH_CPU_INDEX) 'torch==$(TORCH_VERSION)+cpu' \
	  || $(BIN)/pip install --quiet 'torch==$(TORCH_VERSION)'
else
	$(BIN)/pip install --quiet 'torch==$(TORCH_VERSION)'
endif
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

demo: install peers-demo
	$(BIN)/mome-node demo --out ./mome-demo

test: install peers lint unit conformance

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A skipped or deselected test fails: conftest.py sees to it.
unit: install
	$(BIN)/pytest tests --numprocesses $(NPROC) --dist loadfile --no-loadscope-reorder --quiet

conformance: install peers
	$(BIN)/pytest conformance --numprocesses $(PEERS) --dist loadfile

prove: install peers
	$(BIN)/python -m conformance.prove --out docs/proof.json

peers:
	@bash docker/peers.sh $(APT_TEST)
	@$(MAKE) --no-print-directory ohif

peers-demo:
	@bash docker/peers.sh --optional $(APT_DEMO)

ohif: $(OHIF)

# The viewer is unpacked only: its own dependencies are for those who build it.
$(OHIF):
	mkdir -p .peers/ohif
	cd .peers && npm pack --silent @ohif/app@$(OHIF_VERSION) \
	  && tar -xzf ohif-app-$(OHIF_VERSION).tgz -C ohif --strip-components 1 \
	  && rm ohif-app-$(OHIF_VERSION).tgz
	test -f $@ && touch $@

# Renew the lock: install the newest that pyproject.toml allows into a fresh environment first.
constraints:
	( echo "# What \`make install\` installs, exactly. Renewed by \`make constraints\`."; \
	  $(BIN)/pip freeze --exclude-editable --all | sed 's/+cpu//; s/ @ .*//' \
	  | grep -v -e '^-e' -e '^mome' | sort -f ) > constraints.txt
