package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// runInside becomes the command, with the cluster's network and names but the machine's
// files. It counts as the cluster's process: `down` ends it.
func runInside(args []string) error {
	flags, parse := clusterFlags("run")
	c, err := parse(args)
	if err != nil {
		return err
	}
	words := flags.Args()
	if len(words) == 0 {
		return errors.New("usage: wbnode run [--name CLUSTER] -- CMD…")
	}
	if !c.process("init").alive() {
		return c.absent()
	}
	if err := c.joinCgroups(); err != nil {
		return err
	}
	if err := c.enterNetwork(); err != nil {
		return err
	}
	environment := c.insideEnvironment()
	path, err := findProgram(words[0], environment["PATH"])
	if err != nil {
		return err
	}
	return syscall.Exec(path, words, flatten(environment))
}

// enterNetwork moves this thread, which then becomes the command, to the network, and
// gives it a view of /etc/resolv.conf that asks the cluster's DNS.
func (c *Cluster) enterNetwork() error {
	network, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", c.process("init").Pid))
	if err != nil {
		return err
	}
	defer network.Close()
	if err := unix.Setns(int(network.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("failed to enter the cluster's network: %w", err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("failed to make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("failed to keep mounts to ourselves: %w", err)
	}
	err = unix.Mount(c.Path("conf/resolv.conf"), "/etc/resolv.conf", "", unix.MS_BIND, "")
	if err != nil && !errors.Is(err, unix.ENOENT) { // without the file the machine has no names either
		return fmt.Errorf("failed to set the name server: %w", err)
	}
	return nil
}

// insideEnvironment: the kubeconfig for inside, and the tools of the cache first in PATH.
func (c *Cluster) insideEnvironment() map[string]string {
	environment := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		environment[name] = value
	}
	environment["KUBECONFIG"] = c.Path(insideConfig)
	environment["WAYBILL_CLUSTER"] = c.Name
	dirs := []string{}
	for _, tool := range []string{"kubectl", "helm3", "helm4"} {
		if path, err := artefactPath(tool); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	environment["PATH"] = strings.Join(append(dirs, environment["PATH"]), ":")
	return environment
}

func findProgram(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range filepath.SplitList(path) {
		candidate := filepath.Join(dir, name)
		if info, err := os.Stat(candidate); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("no program %q in PATH", name)
}

func flatten(environment map[string]string) []string {
	pairs := []string{}
	for name, value := range environment {
		pairs = append(pairs, name+"="+value)
	}
	return pairs
}
