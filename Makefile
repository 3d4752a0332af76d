# «make» lists the targets. Go is all that is needed.
TOOL = go tool -modfile=tools/go.mod
FUZZTIME ?= 10s

.PHONY: help build test race fuzz bench lint format cover demo compare check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## compile everything, and bin/busnode
	go build ./...
	CGO_ENABLED=0 go build -trimpath -o bin/busnode ./cmd/busnode

test: ## all tests
	go test ./...

race: ## all tests under the race detector, the slow ones left out
	go test -race -short ./...

fuzz: ## each fuzz target for FUZZTIME (10s)
	bash .ci/fuzz $(FUZZTIME)

bench: ## benchmarks, ten runs; compare two outputs with benchstat
	go test -run '^$$' -bench . -benchmem -count 10 ./gossip/... | tee bench.txt
	$(TOOL) benchstat bench.txt

lint: ## golangci-lint, as pinned in tools/go.mod
	$(TOOL) golangci-lint run

format: ## gofumpt and goimports
	$(TOOL) golangci-lint fmt

cover: ## test coverage by package
	go test -short -cover ./...

demo: ## the demonstration: nodes, a cut, a crash, a late joiner
	go run ./cmd/busnode demo

compare: ## busnode and GossipSub side by side, twenty minutes
	go -C compare test -count 1 -timeout 60m -run Table -compare.full $(COMPAREFLAGS)

check: ## what CI runs
	bash .ci/run

clean: ## remove what these targets made
	rm -rf bin bench.txt cover.out
