package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Each part, killed with -9, comes back by itself, the node is ready again and serves
// what it served before; pods do not notice.
func TestEveryPartSurvivesKill9(t *testing.T) {
	n := sharedNode(t)
	n.startWeb(t, "recovery")
	forward := n.must(t, "forward", "web.recovery.svc.cluster.local:80")
	parts := []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns", "containerd"}
	for _, part := range parts {
		t.Run(part, func(t *testing.T) {
			before := n.pid(t, part)
			n.must(t, "kill", part)
			eventually(t, func() error { return n.replaced(part, before) })
			eventually(t, n.works)
			wantHello(t, "forward", forward)
			n.runOnePod(t, part)
		})
	}
	restarts := n.mustKubectl(t, "-n", "recovery", "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.containerStatuses[*].restartCount}")
	if restarts != "0 0" {
		t.Errorf("pods were restarted: %s", restarts)
	}
}

// The keeper and init, the two that nobody inside restarts.
func TestNodeSurvivesKill9OfItsSupervisors(t *testing.T) {
	n := ownNode(t, "boot")
	n.must(t, "up", "--unsafe-no-fsync")
	n.startWeb(t, "boot")
	forward := n.must(t, "forward", "web.boot.svc.cluster.local:80")
	init, api := n.pid(t, "init"), n.pid(t, "kube-apiserver")

	n.must(t, "kill", "keeper")
	if err := n.works(); err != nil {
		t.Fatalf("without its keeper: %v", err)
	}
	n.must(t, "up", "--unsafe-no-fsync")
	if n.pid(t, "init") != init || n.pid(t, "kube-apiserver") != api {
		t.Error("the second up restarted a node that was running")
	}

	// A killed init is a node that lost power; the new keeper boots the node it took over.
	n.must(t, "kill", "init")
	eventually(t, func() error { return n.replaced("init", init) })
	eventually(t, n.works)
	wantHello(t, "the forward after booting", forward)

	kubeconfig := n.must(t, "kubeconfig")
	n.must(t, "kill", "keeper")
	n.must(t, "kill", "init")
	if _, err := n.run("status"); err == nil || !strings.Contains(err.Error(), "not running") {
		t.Errorf("status of a dead cluster: %v", err)
	}
	n.must(t, "up", "--unsafe-no-fsync")
	if again := n.must(t, "kubeconfig"); again != kubeconfig {
		t.Errorf("the kubeconfig moved to %s", again)
	}
	wantHello(t, "the forward after the second up", forward)
}

// === helpers ===

func (n node) pids() (map[string]string, error) {
	out, err := n.run("pids")
	pids := map[string]string{}
	for _, line := range strings.Split(out, "\n") {
		if name, pid, ok := strings.Cut(line, " "); ok {
			pids[name] = pid
		}
	}
	return pids, err
}

func (n node) pid(t *testing.T, part string) string {
	t.Helper()
	pids, err := n.pids()
	if err != nil || pids[part] == "" {
		t.Fatalf("no pid of %s: %v", part, err)
	}
	return pids[part]
}

func (n node) replaced(part, before string) error {
	pids, err := n.pids()
	if err == nil && (pids[part] == "" || pids[part] == before) {
		err = fmt.Errorf("%s has pid %q, it was %q", part, pids[part], before)
	}
	return err
}

// works: the node is ready and DNS answers.
func (n node) works() error {
	if _, err := n.run("status"); err != nil {
		return err
	}
	return n.cluster().ask("GET", "/dns", nil)
}

// runOnePod shows that scheduling, images, network and names still work.
func (n node) runOnePod(t *testing.T, after string) {
	t.Helper()
	name := fmt.Sprintf("after-%s-%d", after, time.Now().UnixMilli())
	n.apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: recovery}
spec:
  restartPolicy: Never
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: main
    image: testpod:dev
    args: [lookup, web]
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`, name))
	eventually(t, func() error {
		phase, err := output(n.kubectl("-n", "recovery", "get", "pod", name, "-o", "jsonpath={.status.phase}"))
		if err == nil && phase != "Succeeded" {
			err = fmt.Errorf("pod %s is %s", name, phase)
		}
		return err
	})
}
