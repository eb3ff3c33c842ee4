# Two commands do everything: `make up` and `make test`. Each target is idempotent and shows a line a step with its time.
# Several clusters live side by side: make up WAYBILL_CLUSTER=name
export WAYBILL_CLUSTER
.DEFAULT_GOAL := help
export FAULT_FLAGS
.PHONY: help up down status logs kubeconfig test fault lint bench screenshots images crds openapi install.yaml

help: ## this list
	@awk -F ':.*## ' '/^[a-z.]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## a cluster with Waybill in it and one example applied; prints what to do next
	@scripts/up

down: ## remove that cluster and everything it left
	@scripts/down

status: ## what runs, and how Waybill's objects are
	@scripts/status

logs: ## the last lines of the operator, the broker and every service
	@scripts/logs

kubeconfig: ## the path of the running cluster's kubeconfig (make -s kubeconfig)
	@scripts/kubeconfig

test: ## every test, against a cluster of its own
	@scripts/test

fault: ## deliveries × faults by the thousand; again: make fault FAULT_FLAGS="--seed N --plan K"
	@scripts/fault $${FAULT_FLAGS:---plans 5000}

lint: ## formatting, clippy, dependencies, chart, generated files
	@scripts/lint

bench: ## the figures of docs/figures.md, as ratios measured in one run
	@scripts/bench

screenshots: ## the pictures of the README, on a cluster of its own
	@scripts/screenshots

images: ## the images for the local node
	@scripts/packages mosquitto && scripts/tools && scripts/images

crds: ## regenerate the custom resource definitions from the types
	@scripts/crds

openapi: ## rewrite the descriptions of the HTTP APIs (docs/openapi) from the routes
	@scripts/openapi

install.yaml: ## plain manifests for those without helm
	@scripts/install-yaml
