package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill.dev/tests/cluster/image"
)

// The tests of the node use the tool as a user does: built, by its commands. They need
// root and a node binary in the cache; without, they are skipped, or fail where
// WAYBILL_REQUIRE_CLUSTER is set.

var (
	workspace string // of the whole run
	tool      = sync.OnceValues(buildTool)
	shared    = sync.OnceValues(startShared)
)

func TestMain(m *testing.M) {
	var err error
	if workspace, err = os.MkdirTemp("", "wbnode-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	for _, name := range started {
		if err := (node{name}).down(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.RemoveAll(workspace)
	os.Exit(code)
}

func buildTool() (string, error) {
	path := filepath.Join(workspace, "wbnode")
	output, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, output)
	}
	return path, nil
}

// node is a cluster of the tests.
type node struct{ name string }

var started []string

func newNode(suffix string) node {
	name := fmt.Sprintf("t%d-%s", os.Getpid(), suffix)
	started = append(started, name)
	return node{name}
}

func startShared() (node, error) {
	n := newNode("shared")
	_, err := n.run("up", "--unsafe-no-fsync")
	return n, err
}

// needNode skips, loudly, where no node can run.
func needNode(t *testing.T) {
	t.Helper()
	reason := ""
	if err := preflight(); err != nil {
		reason = err.Error()
	} else if path, err := artefactPath("node"); err != nil {
		reason = err.Error()
	} else if _, err := os.Stat(path); err != nil {
		reason = "the node is not built: wbnode build node"
	}
	if reason == "" {
		return
	}
	if os.Getenv("WAYBILL_REQUIRE_CLUSTER") != "" {
		t.Fatalf("no node can run here: %s", reason)
	}
	fmt.Fprintf(os.Stderr, "=== SKIPPED %s: %s\n", t.Name(), reason)
	t.Skip(reason)
}

func sharedNode(t *testing.T) node {
	t.Helper()
	needNode(t)
	n, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func ownNode(t *testing.T, suffix string) node {
	t.Helper()
	needNode(t)
	n := newNode(suffix)
	t.Cleanup(func() {
		if err := n.down(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func (n node) command(command string, args ...string) *exec.Cmd {
	path, err := tool()
	if err != nil {
		panic(err)
	}
	c := exec.Command(path, append([]string{command, "--name", n.name}, args...)...)
	c.Dir = workspace
	c.Env = append(os.Environ(), "WAYBILL_CLUSTER_SOURCE="+must(os.Getwd()))
	return c
}

// run gives what the command printed, without the space around it.
func (n node) run(command string, args ...string) (string, error) {
	return output(n.command(command, args...))
}

func (n node) down() error {
	_, err := n.run("down")
	return err
}

func (n node) must(t *testing.T, command string, args ...string) string {
	t.Helper()
	out, err := n.run(command, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (n node) cluster() *Cluster { return must(open(n.name)) }

func (n node) kubectl(args ...string) *exec.Cmd {
	path, err := artefactPath("kubectl")
	if err != nil {
		panic(err)
	}
	c := exec.Command(path, args...)
	c.Env = append(os.Environ(), "KUBECONFIG="+n.cluster().Path(outsideConfig), "HOME="+workspace)
	return c
}

func (n node) mustKubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := output(n.kubectl(args...))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (n node) apply(t *testing.T, manifest string) {
	t.Helper()
	c := n.kubectl("apply", "-f", "-")
	c.Stdin = strings.NewReader(manifest)
	if _, err := output(c); err != nil {
		t.Fatal(err)
	}
}

func output(c *exec.Cmd) (string, error) {
	var out, errors bytes.Buffer
	c.Stdout, c.Stderr = &out, &errors
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(c.Args, " "), err, out.String(), errors.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// eventually fails the test when the check still fails after a minute.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	if err := until(time.Minute, 50*time.Millisecond, check); err != nil {
		t.Fatal(err)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

const testpod = "/usr/bin/testpod"

// loadTestpod makes the image of ./testpod and loads it.
func (n node) loadTestpod(t *testing.T) {
	t.Helper()
	binary, archive := filepath.Join(workspace, "testpod"), filepath.Join(workspace, "testpod.tar")
	build := exec.Command("go", "build", "-o", binary, "./testpod")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if _, err := output(build); err != nil {
		t.Fatal(err)
	}
	if err := image.Write(archive, image.Spec{Name: "testpod:dev", Binary: binary, Entrypoint: testpod}); err != nil {
		t.Fatal(err)
	}
	n.must(t, "load", archive)
}

// startWeb runs two pods behind a Service in a namespace where Pod Security is
// enforced, with a volume, and waits until they are ready.
func (n node) startWeb(t *testing.T, namespace string) {
	t.Helper()
	n.loadTestpod(t)
	n.apply(t, strings.ReplaceAll(webManifest, "NAMESPACE", namespace))
	n.mustKubectl(t, "-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")
}

const webManifest = `
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAMESPACE}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: NAMESPACE}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NAMESPACE}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      securityContext: {runAsNonRoot: true, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: testpod:dev
        args: [serve, ":8080"]
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data}]
        resources: {requests: {cpu: 5m, memory: 8Mi}}
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
`
