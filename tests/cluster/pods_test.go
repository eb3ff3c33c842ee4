package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestPodsRunWithLogsExecNamesServicesAndVolumes(t *testing.T) {
	n := sharedNode(t)
	n.startWeb(t, "pods")
	exec := func(args ...string) string {
		return n.mustKubectl(t, append([]string{"-n", "pods", "exec", "deployment/web", "--", testpod}, args...)...)
	}
	if got := n.mustKubectl(t, "-n", "pods", "logs", "deployment/web"); got != "serving on :8080" {
		t.Errorf("logs: %q", got)
	}
	if got := exec("get", "http://web.pods.svc.cluster.local"); !strings.HasPrefix(got, "hello from web-") {
		t.Errorf("Service by its full name: %q", got)
	}
	if got := exec("get", "http://web"); !strings.HasPrefix(got, "hello from web-") {
		t.Errorf("Service by its short name: %q", got)
	}
	address := n.mustKubectl(t, "-n", "pods", "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
	if got := exec("lookup", "web"); got != "["+address+"]" {
		t.Errorf("DNS: %q, want %s", got, address)
	}
	if got := exec("lookup", dnsName); got != "["+apiServiceIP+"]" {
		t.Errorf("DNS of the API server: %q", got)
	}
}

func TestServiceAddressesAreReachedFromOutside(t *testing.T) {
	n := sharedNode(t)
	n.startWeb(t, "outside")
	address := n.must(t, "forward", "web.outside.svc.cluster.local:80")
	if again := n.must(t, "forward", "web.outside.svc.cluster.local:80"); again != address {
		t.Errorf("the same forward has two addresses: %s, %s", address, again)
	}
	wantHello(t, "forward", address)
	if got := n.must(t, "run", "--", testBinary(t), "get", "http://web.outside"); !strings.HasPrefix(got, "hello from web-") {
		t.Errorf("run: %q", got)
	}

	forward := n.kubectl("-n", "outside", "port-forward", "--address=127.0.0.1", "service/web", ":80")
	out, err := forward.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = forward.Process.Kill(); _ = forward.Wait() }()
	line := make([]byte, 200)
	length, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	port := strings.Fields(string(line[:length]))[2] // Forwarding from 127.0.0.1:PORT -> 8080
	wantHello(t, "port-forward", port)

	n.must(t, "forward", "--delete", "web.outside.svc.cluster.local:80")
	if _, err := http.Get("http://" + address); err == nil {
		t.Error("the forward answers after it was deleted")
	}
}

func testBinary(t *testing.T) string {
	t.Helper()
	path := workspace + "/testpod"
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func wantHello(t *testing.T, what, address string) {
	t.Helper()
	eventually(t, func() error {
		client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Get("http://" + address)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil || !strings.HasPrefix(string(body), "hello from web-") {
			return fmt.Errorf("%s: %q %v", what, body, err)
		}
		return nil
	})
}

// The token a pod is given is accepted by the API server and names its account; what the
// account did is in the audit log.
func TestServiceAccountTokenIsAcceptedAndAudited(t *testing.T) {
	n := sharedNode(t)
	n.startWeb(t, "tokens")
	token := n.mustKubectl(t, "-n", "tokens", "exec", "deployment/web", "--", testpod, "print", "/var/run/secrets/kubernetes.io/serviceaccount/token")
	who := n.must(t, "run", "--", "kubectl", "--kubeconfig=/dev/null", "--server="+apiServerInside, "--insecure-skip-tls-verify",
		"--token="+token, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
	if who != "system:serviceaccount:tokens:default" {
		t.Errorf("the token is %q", who)
	}
	audit := must(os.ReadFile(n.must(t, "path", "audit")))
	for _, line := range strings.Split(string(audit), "\n") {
		var event struct {
			Verb      string
			User      struct{ Username string }
			ObjectRef struct{ Resource string }
		}
		if json.Unmarshal([]byte(line), &event) == nil && event.User.Username == who &&
			event.Verb == "create" && event.ObjectRef.Resource == "selfsubjectreviews" {
			return
		}
	}
	t.Error("the audit log does not have the request")
}

func TestVolumeIsOfferedAgainEmptyWhenItsClaimIsGone(t *testing.T) {
	n := sharedNode(t)
	n.startWeb(t, "volumes")
	claim := []string{"-n", "volumes", "get", "persistentvolumeclaim", "data", "-o", "jsonpath={.spec.volumeName}"}
	volume := n.mustKubectl(t, claim...)
	left := n.cluster().Path("node/lib/waybill/volumes", volume, "left")
	if err := os.WriteFile(left, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	n.mustKubectl(t, "delete", "namespace", "volumes", "--timeout=60s")
	eventually(t, func() error {
		phase, err := output(n.kubectl("get", "persistentvolume", volume, "-o", "jsonpath={.status.phase}"))
		if err == nil && phase != "Available" {
			err = fmt.Errorf("volume %s is %s", volume, phase)
		}
		return err
	})
	if _, err := os.Stat(left); err == nil {
		t.Error("the volume still has the file of its last claim")
	}
}

// What the operator's admission stands on: a policy of the API server refuses, with its reason.
func TestValidatingAdmissionPolicyRefuses(t *testing.T) {
	n := sharedNode(t)
	n.apply(t, `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-forbidden-maps}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  validations: [{expression: "object.metadata.name != 'forbidden'", message: "this name is forbidden", reason: Forbidden}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-forbidden-maps}
spec: {policyName: no-forbidden-maps, validationActions: [Deny]}
`)
	eventually(t, func() error {
		_, err := output(n.kubectl("create", "configmap", "forbidden", "--dry-run=server"))
		if err == nil || !strings.Contains(err.Error(), "this name is forbidden") {
			return fmt.Errorf("the policy does not refuse yet: %v", err)
		}
		return nil
	})
}
