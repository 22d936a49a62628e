# Ledge. Needs Go and make; `make check` also a C compiler for the race detector, `make bench` also Node.
GO      ?= go
BIN     := bin/ledge
DATA    ?= data
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
PLUGINS := router pii-guard injection-guard secrets-guard topic-guard output-guard grounding-guard cache-policy chunker tools
MODULES := $(PLUGINS:%=plugins/build/%.wasm)

# What `make check` runs beside the Go toolchain's own.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
RACE        := ./hosts/... ./runtime ./runtime/pipeline/... ./runtime/wasm/... ./runtime/state/... ./runtime/upstream/... ./runtime/slm/...

export CGO_ENABLED = 0
.DEFAULT_GOAL := build

.PHONY: build
build: plugins ## build bin/ledge, one static binary with the built-in plugins inside
	$(GO) build -trimpath -ldflags "-s -w -X github.com/ledge-run/ledge/hosts/cli.version=$(VERSION)" -o $(BIN) .

.PHONY: plugins
plugins: $(MODULES) ## build the built-in plugins to WebAssembly
	@rm -f plugins/dist/*.wasm
	$(GO) run ./plugins/pack -o plugins/dist $(MODULES)

# The Go build cache decides what is up to date.
$(MODULES): plugins/build/%.wasm: always
	GOOS=wasip1 GOARCH=wasm $(GO) build -trimpath -ldflags "-s -w" -buildmode=c-shared -o $@ ./plugins/$*/wasm

.PHONY: always
always:

.PHONY: run
run: build ## start the appliance on 127.0.0.1:8080; MODEL=FILE.gguf serves that model
	exec ./$(BIN) serve --data $(DATA) $(if $(MODEL),--model $(MODEL)) $(ARGS)

.PHONY: test
test: build ## build everything and run all tests
	$(GO) vet ./...
	$(GO) test ./...

.PHONY: check
check: plugins ## vet, formatting, staticcheck, known vulnerabilities, race detector, cross-builds
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "not gofmt'ed:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	@if [ -n "$(VULNDB)" ]; then $(GO) run $(GOVULNCHECK) -db "$(VULNDB)" ./...; \
	else echo "govulncheck left out: set VULNDB to a vulnerability database, file:///DIR or its URL"; fi
	@if command -v cc >/dev/null; then CGO_ENABLED=1 $(GO) test -race $(RACE); \
	else echo "race detector left out: it needs a C compiler"; fi
	GOOS=linux GOARCH=arm64 $(GO) build -o /dev/null .
	GOOS=linux GOARCH=riscv64 $(GO) vet ./runtime/slm/... ./runtime/wasm/...
	GOOS=darwin GOARCH=arm64 $(GO) build -o /dev/null .

.PHONY: generate
generate: ## write the generated assembly again (fetches the generator's own modules)
	$(GO) generate ./runtime/slm/kernel

.PHONY: clients
clients: build ## run the clients of OpenAI, Anthropic, Ollama and the AI SDK against the appliance (npm, and Python where it is)
	bench/clients/run.sh

.PHONY: bench
bench: build ## measure against peers in one run: added latency of the gateway, engine
	$(GO) run ./bench/gateway
	$(GO) run ./bench/sandbox
	$(GO) run ./bench/slm -dir bench/slm/models

.PHONY: soak
soak: build ## 2,000 requests with random disconnects, then leak checks
	$(GO) test ./hosts/edge -run Soak -soak 2000 -v -timeout 20m

SOAK_TIME ?= 30m
.PHONY: soak-gateway
soak-gateway: plugins ## 200 clients of eight tenants with faults and reloads for SOAK_TIME (30m): no leak, no byte of another tenant
	$(GO) test ./hosts/edge -run TestSoakGateway -soak-time $(SOAK_TIME) -v -timeout 0

.PHONY: faults
faults: plugins ## 10,000 requests to a hostile upstream, by its client alone and through the whole appliance
	$(GO) test ./runtime/upstream -run HostileUpstream -fault-requests 10000 -v -timeout 20m
	$(GO) test ./hosts/edge -run TestFaults -fault-requests 10000 -v -timeout 20m

.PHONY: soak-sandbox
soak-sandbox: plugins ## a million plugin calls and 1,000 reloads under traffic, then compare memory
	$(GO) test ./runtime -run TestSoak -soak 1000000 -v -timeout 40m

.PHONY: kill-ingest
kill-ingest: ## kill an ingest of 1,000 documents at 50 random moments, then look for each document
	LEDGE_KILLS=100 LEDGE_KILL_DOCS=1000 $(GO) test ./runtime/ingest -run SurvivesKills -v -timeout 20m

DURATION ?= 1h
REST ?= 0s
.PHONY: soak-engine
soak-engine: ## mixed load on the engine for DURATION (1h): each answer equals its solo run, nothing leaks or stalls
	$(GO) test ./runtime/slm/engine -run TestSoak -soak $(DURATION) -soak-rest $(REST) -v -timeout 0

.PHONY: test-avx512
test-avx512: ## hold the AVX-512 kernels against the AVX2 ones in an emulator (bench/slm/emulate/setup.sh installs it)
	@mkdir -p bin
	$(GO) test -c -o bin/kernel.test ./runtime/slm/kernel
	cd bench/slm/emulate && LD_PRELOAD=$$PWD/bochs/shim.so bochs/venv/bin/python compare.py ../../../bin/kernel.test 3

QEMU_ARM64 ?= qemu-aarch64-static
.PHONY: test-arm64
test-arm64: ## test the arm64 kernels, and models against llama.cpp's references, under qemu where it is installed
	@if command -v $(QEMU_ARM64) >/dev/null; then \
	  for cpu in max cortex-a76 cortex-a72; do echo "$$cpu"; \
	    GOARCH=arm64 $(GO) test -exec "$(QEMU_ARM64) -cpu $$cpu" ./runtime/slm/kernel || exit 1; done; \
	  GOARCH=arm64 $(GO) test -short -exec "$(QEMU_ARM64) -cpu max" -run "Reference|EqualLlamaCpp" ./runtime/slm/engine ./runtime/slm/model; \
	else echo "arm64 left out: it needs $(QEMU_ARM64)"; fi

FUZZTIME ?= 20s
.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (20s)
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; \
	done

.PHONY: clean
clean: ## remove what was built; the state in DATA stays
	rm -rf bin plugins/build plugins/dist/*.zst

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' Makefile
