package main

import (
	"context"
	"net"
	"time"
)

const (
	dnsServiceIP = "10.96.0.10"
	dnsName      = "kubernetes.default.svc.cluster.local"
)

// coreDNS is a plain process on the node's address; the usual Service kube-dns leads there.
func coreDNS() Part {
	return Part{Name: "coredns", Needs: apiserverReady(), Args: []string{
		"-conf", conf("Corefile"),
	}}
}

// corefile answers for the cluster only: there is nothing beyond it to ask.
var corefile = `.:53 {
    bind ` + nodeIP + `
    errors
    ready ` + nodeIP + `:8181
    cache 5
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig ` + conf("coredns.kubeconfig") + `
        pods insecure
        ttl 5
    }
}
`

// resolvConf makes short service names work for what runs inside by `wbnode run` too.
const resolvConf = `nameserver ` + dnsServiceIP + `
search default.svc.cluster.local svc.cluster.local cluster.local
options ndots:5
`

// dnsObjects are what CoreDNS needs of the cluster, and what leads pods to it.
var dnsObjects = []object{
	{"/apis/rbac.authorization.k8s.io/v1/clusterroles/system:coredns", `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "system:coredns"}
rules:
- {apiGroups: [""], resources: [endpoints, services, pods, namespaces], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
`},
	{"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:coredns", `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "system:coredns"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:coredns"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:coredns"}]
`},
	{"/api/v1/namespaces/kube-system/services/kube-dns", `apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns, kubernetes.io/name: CoreDNS}}
spec:
  clusterIP: ` + dnsServiceIP + `
  ports:
  - {name: dns, port: 53, protocol: UDP}
  - {name: dns-tcp, port: 53, protocol: TCP}
`},
	{"/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns-node", `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-node, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
endpoints: [{addresses: ["` + nodeIP + `"], conditions: {ready: true}}]
ports:
- {name: dns, port: 53, protocol: UDP}
- {name: dns-tcp, port: 53, protocol: TCP}
`},
}

// dnsAnswers asks the way a pod would: by the Service's address.
func dnsAnswers() error {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, dnsServiceIP+":53")
	}}
	soon, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_, err := resolver.LookupHost(soon, dnsName+".")
	return err
}
