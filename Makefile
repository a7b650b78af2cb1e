# Each target is a few lines; what needs more stands in a script of its own.
SHELL := /bin/bash
GO ?= go
LINT_VERSION := v2.15.0
FUZZTIME ?= 20s
BIN := bin/lunar

.PHONY: all run build test race short lint fmt fuzz bench ci arch conform conformance digest-arm64 sim planted tools clean

all: build lint test

build: ## the binary
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/lunar

run: build ## the embedded default: no configuration, no root
	./$(BIN) serve --state .lunar --admin .lunar/admin.sock

test: build ## everything, with the real initiators of Debian
	internal/system/tools.sh
	$(GO) test -tags 'invariants system' -shuffle=on -timeout 15m ./...

short: ## without the foreign tools
	$(GO) test -shuffle=on ./...

race:
	$(GO) test -race -short ./...

arch: ## who imports whom
	$(GO) test ./internal/arch

conform: ## which rules of the standards the tests prove; CONFORM='--readme README.md' writes the table
	@GO="$(GO)" internal/conform/run.sh $(CONFORM)

conformance: build ## libiscsi's suite on a RAM and a file unit, with every result
	internal/system/tools.sh
	$(GO) test -tags 'invariants system' -count=1 -run TestConformance -v ./internal/system

lint: tools
	"$$($(GO) env GOPATH)/bin/golangci-lint" run --allow-parallel-runners ./...
	GOARCH=arm64 $(GO) vet ./...

fmt: tools
	"$$($(GO) env GOPATH)/bin/golangci-lint" fmt ./...

fuzz: ## each native fuzz target for FUZZTIME
	internal/system/fuzz.sh $(FUZZTIME)

bench: build ## this target, others and the machine's limits in interleaved rounds; rewrites BENCHMARKS.md
	internal/system/tools.sh tgt istgt fio strace
	./$(BIN) bench suite

sim: ## the target and its initiators out of SEEDS seeds, or one SEED with its conversation, which SAVE=name keeps
	$(GO) test -count=1 -timeout 10m -run 'TestSeeds|TestSaved' ./internal/simulate -v $(if $(SEED),-seed $(SEED) $(if $(SAVE),-save $(SAVE)),-seeds $(or $(SEEDS),1000))

planted: ## shows that the simulation finds faults that are planted
	GO="$(GO)" internal/simulate/planted.sh

tools:
	@"$$($(GO) env GOPATH)/bin/golangci-lint" version 2>/dev/null | grep -q "$(LINT_VERSION:v%=%)" || \
	$(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

digest-arm64: ## the tests of digest on arm64, emulated if need be and possible
	internal/system/digest-arm64.sh

ci: lint test race digest-arm64 ## what must pass
	$(MAKE) sim SEEDS=10000
	$(MAKE) fuzz FUZZTIME=5s

clean:
	rm -rf bin .lunar
