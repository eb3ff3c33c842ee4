package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Every cluster has a network namespace of its own, so all use the same addresses.
const (
	nodeIP       = "172.30.0.1"
	podRange     = "10.244.0.0/16"
	serviceRange = "10.96.0.0/16"
	apiServiceIP = "10.96.0.1"
)

// createNetwork gives the namespace the node's address, on a bridge nothing is plugged
// into. Service addresses need a route before nftables can redirect them; for the rest
// of the world there is none, so a pod that asks for it gets an error at once.
func createNetwork() error {
	commands := []string{
		"ip link set lo up",
		"ip link add node0 type bridge",
		"ip addr add " + nodeIP + "/32 dev node0",
		"ip link set node0 up",
		"ip route add " + serviceRange + " dev node0 src " + nodeIP,
		"ip route add unreachable default",
	}
	for _, command := range commands {
		words := strings.Fields(command)
		if output, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("failed to run %q (a kernel without bridges?): %s %w", command, output, err)
		}
	}
	for _, setting := range []string{"ip_forward", "conf/all/route_localnet"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+setting, []byte("1"), 0o644); err != nil {
			return fmt.Errorf("failed to set %s: %w", setting, err)
		}
	}
	return nil
}

// podNetwork: a link of its own for every pod (ptp, not bridge), so that all traffic is
// routed and nftables sees it even between two pods of one Service. Addresses are kept
// in /run, which a restarted node begins without, like its pods.
const podNetwork = `{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [
    {
      "type": "ptp",
      "ipMasq": false,
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/cni-addresses",
        "ranges": [[{"subnet": "` + podRange + `"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`
