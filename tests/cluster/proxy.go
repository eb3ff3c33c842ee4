package main

import "fmt"

func kubeProxy(c *Cluster) Part {
	return Part{Name: "kube-proxy", Needs: apiserverReady(), Args: []string{
		"--config=" + conf("proxy.yaml"),
	}}
}

// kubeProxyConfig leaves conntrack's sysctls alone: most of them are the machine's, and
// refused in a network namespace.
func kubeProxyConfig(c *Cluster) string {
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: %q}
hostnameOverride: %s
clusterCIDR: %s
bindAddress: 0.0.0.0
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
oomScoreAdj: 0
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
nftables: {syncPeriod: 30s, minSyncPeriod: 100ms}
`, conf("proxy.kubeconfig"), c.nodeName(), podRange)
}
