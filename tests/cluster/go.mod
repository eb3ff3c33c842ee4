// wbnode: builds, starts and removes a local single-node Kubernetes cluster.
// Small on purpose: it compiles in seconds; the slow part is ./node.
module waybill.dev/tests/cluster

go 1.24.0

require golang.org/x/sys v0.37.0
