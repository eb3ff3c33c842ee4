package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// api is as much of a Kubernetes client as the tool itself needs.
type api struct {
	server string
	client *http.Client
}

// object is a manifest and the path it is applied at.
type object struct{ path, yaml string }

// newAPI speaks as the cluster's admin.
func newAPI(server, pkiDir string) (*api, error) {
	ca, err := os.ReadFile(filepath.Join(pkiDir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	pair, err := tls.LoadX509KeyPair(filepath.Join(pkiDir, "admin.crt"), filepath.Join(pkiDir, "admin.key"))
	if err != nil {
		return nil, err
	}
	return &api{server, &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}},
		IdleConnTimeout: 30 * time.Second,
	}}}, nil
}

func (a *api) call(method, path, contentType, body string, into any) error {
	request, err := http.NewRequest(method, a.server+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", contentType)
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("failed to %s %s: %s: %s", method, path, response.Status, data)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(data, into)
}

func (a *api) get(path string, into any) error { return a.call("GET", path, "", "", into) }

func (a *api) apply(o object) error {
	return a.call("PATCH", o.path+"?fieldManager=wbnode&force=true", "application/apply-patch+yaml", o.yaml, nil)
}

// nodeReady is nil when the node's Ready condition is True and the kubelet has been
// heard of since: a node that lost power is called Ready for a while yet.
func (a *api) nodeReady(name string, since time.Time) error {
	var node struct {
		Metadata struct{ CreationTimestamp time.Time }
		Status   struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := a.get("/api/v1/nodes/"+name, &node); err != nil {
		return err
	}
	if node.Metadata.CreationTimestamp.Before(since.Add(-time.Second)) {
		if err := a.heardOf(name, since); err != nil {
			return err
		}
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == "Ready" && condition.Status == "True" {
			return nil
		}
		if condition.Type == "Ready" {
			return fmt.Errorf("node %s is not ready: %s", name, condition.Message)
		}
	}
	return fmt.Errorf("node %s has no Ready condition yet", name)
}

func (a *api) heardOf(name string, since time.Time) error {
	var lease struct{ Spec struct{ RenewTime time.Time } }
	if err := a.get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/"+name, &lease); err != nil {
		return err
	}
	if lease.Spec.RenewTime.Before(since) {
		return fmt.Errorf("node %s has not been heard of since it started", name)
	}
	return nil
}
