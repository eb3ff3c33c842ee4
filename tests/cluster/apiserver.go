package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"time"
)

func apiserver() Part {
	return Part{Name: "kube-apiserver", Needs: etcdListens, Args: []string{
		"--etcd-servers=http://" + etcdAddress,
		"--secure-port=6443",
		"--bind-address=0.0.0.0",
		"--advertise-address=" + nodeIP,
		"--service-cluster-ip-range=" + serviceRange,
		"--tls-cert-file=" + pki("apiserver.crt"),
		"--tls-private-key-file=" + pki("apiserver.key"),
		"--client-ca-file=" + pki("ca.crt"),
		// No aggregated API here, so no certificate has this name; without the settings
		// every other part complains that they are missing.
		"--requestheader-client-ca-file=" + pki("ca.crt"),
		"--requestheader-allowed-names=nobody",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + pki("service-accounts.key"),
		"--service-account-signing-key-file=" + pki("service-accounts.key"),
		"--kubelet-client-certificate=" + pki("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + pki("apiserver-kubelet-client.key"),
		"--kubelet-certificate-authority=" + pki("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP",
		"--audit-policy-file=" + conf("audit-policy.yaml"),
		"--audit-log-path=" + inside(auditLog),
		"--audit-log-maxsize=100",
		"--audit-log-maxbackup=4",
		"--profiling=false",
	}}
}

const auditLog = "audit/audit.log"

// auditPolicy logs who did what to which resource. What the node's own servers read,
// and their leases, would bury the rest.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi*"]
- level: None
  userGroups: ["system:nodes", "system:serviceaccounts:kube-system"]
  verbs: [get, list, watch]
- level: None
  users: ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy", "system:coredns"]
  verbs: [get, list, watch]
- level: None
  users: ["system:apiserver"]
  resources: [{group: coordination.k8s.io, resources: [leases]}]
- level: None
  userGroups: ["system:nodes"]
  resources: [{group: coordination.k8s.io, resources: [leases]}]
- level: Metadata
`

// apiserverReady asks the way a part of the node would.
func apiserverReady() func() error {
	var client *http.Client
	return func() error {
		if client == nil {
			ca, err := os.ReadFile(pki("ca.crt"))
			if err != nil {
				return err
			}
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(ca)
			client = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
		}
		response, err := client.Get("https://127.0.0.1:6443/readyz")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("kube-apiserver is not ready: %s", response.Status)
		}
		return nil
	}
}
