package main

import "os"

// Part is one server of the node.
type Part struct {
	Name string
	Path string   // the program, as the node sees it; program(Name) if not given
	Args []string // without the name it is started by
	// Needs holds a start back until it answers nil. A part that would only crash
	// without another waits for it here instead.
	Needs func() error
}

// program is every server but containerd (node/main.go): the name it is started by decides
// which, so each part has a link of its own to it (mounts.go).
func program(part string) string { return "/var/lib/waybill/bin/" + part }

func pki(name string) string  { return inside("pki", name) }
func conf(name string) string { return inside("conf", name) }

func nothing() error { return nil }

// parts lists the node's servers in the order they are first started in.
func (c *Cluster) parts(s Settings) []Part {
	return []Part{
		containerd(),
		etcd(s),
		apiserver(),
		controllerManager(),
		scheduler(),
		kubelet(c),
		kubeProxy(c),
		coreDNS(),
	}
}

func (p Part) path() string { return fallback(p.Path, program(p.Name)) }

// writeConfig writes the files the parts read; each part's own file has their content.
func (c *Cluster) writeConfig(s Settings) error {
	files := map[string]string{
		"containerd.toml":      containerdConfig(s),
		"audit-policy.yaml":    auditPolicy,
		"kubelet.yaml":         kubeletConfig(c),
		"proxy.yaml":           kubeProxyConfig(c),
		"scheduler.yaml":       schedulerConfig,
		"Corefile":             corefile,
		"resolv.conf":          resolvConf,
		"cni/10-pods.conflist": podNetwork,
	}
	for name, content := range files {
		if err := writeFile(c.Path("conf", name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	for _, dir := range []string{"log", "audit", "node/lib/waybill/cluster", "node/lib/waybill/bin", "node/log", "node/tmp"} {
		if err := os.MkdirAll(c.Path(dir), 0o755); err != nil {
			return err
		}
	}
	return nil
}
