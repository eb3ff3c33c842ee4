package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The tool talks to init by HTTP over a unix socket in the node's own /run. From
// outside it is reached through init's root: no file of it is on the machine, and only
// root may walk that path.
const controlSocket = "/run/waybill.sock"

func serveControl(parts *supervisor, forwards *forwards) error {
	listener, err := net.Listen("unix", controlSocket)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /parts", func(w http.ResponseWriter, _ *http.Request) { answer(w, parts.snapshot(), nil) })
	mux.HandleFunc("GET /dns", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil, dnsAnswers()) })
	mux.HandleFunc("POST /kill/{part}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, nil, parts.kill(r.PathValue("part")))
	})
	mux.HandleFunc("GET /forwards", func(w http.ResponseWriter, _ *http.Request) { answer(w, forwards.list(), nil) })
	mux.HandleFunc("POST /forwards/{target}", func(w http.ResponseWriter, r *http.Request) {
		address, err := forwards.add(r.PathValue("target"))
		answer(w, Forward{r.PathValue("target"), address}, err)
	})
	mux.HandleFunc("DELETE /forwards/{target}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, nil, forwards.remove(r.PathValue("target")))
	})
	return http.Serve(listener, mux)
}

func (s *supervisor) kill(name string) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	part, ok := s.status[name]
	if !ok || !part.Running {
		return fmt.Errorf("no part %q is running", name)
	}
	return unix.Kill(part.Pid, unix.SIGKILL)
}

func answer(w http.ResponseWriter, value any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	_ = json.NewEncoder(w).Encode(value) // the asker has gone
}

var errNotRunning = errors.New("the cluster is not running")

// ask sends one request to the cluster's init.
func (c *Cluster) ask(method, path string, into any) error {
	process := c.process("init")
	if !process.alive() {
		return c.absent()
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", c.insideRoot(process.Pid, controlSocket))
		},
	}}
	request, err := http.NewRequest(method, "http://init"+path, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("failed to reach init of cluster %s: %w", c.Name, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(body)))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

// insideRoot is a path of the node, by way of its process 1.
func (c *Cluster) insideRoot(pid int, path string) string {
	return fmt.Sprintf("/proc/%d/root%s", pid, path)
}

// absent is the error of every command that wants a running cluster.
func (c *Cluster) absent() error {
	return fmt.Errorf("%w: start it with: wbnode up --name %s", errNotRunning, c.Name)
}
