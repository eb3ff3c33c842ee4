package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"
)

const startTimeout = 60 * time.Second

// steps prints one line a step, with the time it took.
type steps struct{ begun, last time.Time }

func newSteps() *steps { return &steps{time.Now(), time.Now()} }

func (s *steps) done(format string, args ...any) {
	fmt.Printf("  %5.1fs  %s\n", time.Since(s.last).Seconds(), fmt.Sprintf(format, args...))
	s.last = time.Now()
}

func runUp(args []string) error {
	flags, parse := clusterFlags("up")
	unsafe := flags.Bool("unsafe-no-fsync", os.Getenv("WAYBILL_UNSAFE_NO_FSYNC") != "",
		"etcd does not wait for the disk: faster, and no basis for a claim of durability (or WAYBILL_UNSAFE_NO_FSYNC)")
	c, err := parse(args)
	if err != nil {
		return err
	}
	fmt.Printf("cluster %s\n", c.Name)
	if err := preflight(); err != nil {
		return err
	}
	built, err := build("node", "pause")
	if err != nil {
		return err
	}
	release, err := c.lock(true)
	if err != nil {
		return err
	}
	defer release()
	if err := c.up(built, *unsafe); err != nil {
		return fmt.Errorf("%w%s\n  its logs: wbnode logs --name %s; what runs stays for a look: wbnode down --name %[3]s removes it",
			err, c.lastWords(), c.Name)
	}
	fmt.Printf("\n  export KUBECONFIG=%s\n", c.Path(outsideConfig))
	return nil
}

// up starts what is not running. Each step does nothing when it was done before.
func (c *Cluster) up(built map[string]string, unsafe bool) error {
	steps := newSteps()
	settings, err := c.prepare(built["node"], unsafe)
	if err != nil {
		return err
	}
	steps.done("certificates and configuration in %s", c.Dir)
	if err := c.start(); err != nil {
		return err
	}
	steps.done("namespaces, network and supervisor")
	client, err := newAPI(fmt.Sprintf("https://127.0.0.1:%d", settings.Port), c.Path("pki"))
	if err != nil {
		return err
	}
	since, err := c.startedAt()
	if err != nil {
		return err
	}
	for _, step := range []struct {
		what  string
		check func() error
	}{
		{"containerd, with the pause image", func() error { return c.loadPause(built["pause"]) }},
		{"etcd and kube-apiserver ready at " + client.server, func() error { return client.get("/readyz", nil) }},
		{"node " + c.nodeName() + " Ready", func() error { return client.nodeReady(c.nodeName(), since) }},
		{"DNS answers", func() error { return c.ask("GET", "/dns", nil) }},
		{"service accounts", func() error { return client.get("/api/v1/namespaces/default/serviceaccounts/default", nil) }},
	} {
		if err := c.await(step.check); err != nil {
			return err
		}
		steps.done("%s", step.what)
	}
	fmt.Printf("  %5.1fs  in all\n", time.Since(steps.begun).Seconds())
	return nil
}

// start leaves a keeper running, and so an init.
func (c *Cluster) start() error {
	if err := c.createCgroups(); err != nil {
		return err
	}
	if err := c.startKeeper(); err != nil {
		return err
	}
	return c.awaitInit()
}

// awaitInit does not wait long: an init that cannot make its namespaces a node never can.
func (c *Cluster) awaitInit() error {
	err := until(10*time.Second, 30*time.Millisecond, func() error { return c.ask("GET", "/parts", nil) })
	if errors.Is(err, errNotRunning) {
		return errors.New("the node's init does not start")
	}
	return err
}

// lastWords is what init or the keeper said when it could not go on.
func (c *Cluster) lastWords() string {
	data, _ := os.ReadFile(c.Path("log", "keeper.out")) // absent: it has not said anything
	said := strings.Split(strings.TrimSpace(string(data)), "\n")
	if last := said[len(said)-1]; last != "" {
		return "\n  " + last
	}
	return ""
}

// startedAt is when init last started: the keeper writes its record then.
func (c *Cluster) startedAt() (time.Time, error) {
	info, err := os.Stat(c.Path("init.json"))
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// await gives up early when the keeper is gone: nothing will come any more.
func (c *Cluster) await(check func() error) error {
	return until(startTimeout, 30*time.Millisecond, func() error {
		err := check()
		if err != nil && !c.process("keeper").alive() {
			return fmt.Errorf("the keeper has died (see %s): %w", c.Path("log", "keeper.out"), err)
		}
		return err
	})
}

// prepare writes the files of the cluster. Of an existing one the port and the settings
// of etcd stay; the binaries may have moved.
func (c *Cluster) prepare(node string, unsafe bool) (Settings, error) {
	settings, err := c.settings()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return settings, err
	}
	if c.process("init").alive() || c.process("keeper").alive() {
		return settings, err // they have read them
	}
	if err != nil {
		settings.UnsafeNoFsync = unsafe
	}
	if settings.Port, err = freePort(settings.Port); err != nil {
		return settings, err
	}
	settings.Node = node
	settings.CNIBin, _ = cniBin()
	settings.Snapshotter = snapshotter(c.Dir)
	if err := writeJSON(c.Path("cluster.json"), settings); err != nil {
		return settings, err
	}
	if err := c.createCertificates(); err != nil {
		return settings, err
	}
	if err := c.writeConfig(settings); err != nil {
		return settings, err
	}
	return settings, c.createKubeconfigs(settings.Port)
}

// freePort keeps the port there was, unless another program has it now.
func freePort(wanted int) (int, error) {
	for _, port := range []int{wanted, 0} {
		listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			defer listener.Close()
			return listener.Addr().(*net.TCPAddr).Port, nil
		}
	}
	return 0, errors.New("no port is free on loopback")
}
