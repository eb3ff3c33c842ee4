package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/sys/unix"
)

// Cluster is one local node: a name and one directory that holds all its files.
type Cluster struct {
	Name string
	Dir  string
}

// Settings is what must stay the same from one start to the next (cluster.json).
type Settings struct {
	Port          int    `json:"port"`          // of the API server, on loopback
	UnsafeNoFsync bool   `json:"unsafeNoFsync"` // etcd may lose writes when the machine does
	Node          string `json:"node"`          // the node binary
	Snapshotter   string `json:"snapshotter"`
	CNIBin        string `json:"cniBin"`
	CgroupV2      bool   `json:"cgroupV2"`
}

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$`)

// clusterFlags gives a command its flag set with --name, which every command has.
func clusterFlags(command string) (*flag.FlagSet, func([]string) (*Cluster, error)) {
	flags := flag.NewFlagSet("wbnode "+command, flag.ContinueOnError)
	name := flags.String("name", fallback(os.Getenv("WAYBILL_CLUSTER"), "waybill"), "the cluster's name")
	return flags, func(args []string) (*Cluster, error) {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		return open(*name)
	}
}

func open(name string) (*Cluster, error) {
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("cluster name %q: want at most 20 of a-z, 0-9 and -", name)
	}
	if !filepath.IsAbs(stateRoot()) {
		return nil, fmt.Errorf("WAYBILL_STATE=%s: want an absolute path", stateRoot())
	}
	return &Cluster{Name: name, Dir: filepath.Join(stateRoot(), name)}, nil
}

func stateRoot() string { return fallback(os.Getenv("WAYBILL_STATE"), "/var/lib/waybill") }

func fallback(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// Path is a file of the cluster as seen from outside.
func (c *Cluster) Path(parts ...string) string {
	return filepath.Join(append([]string{c.Dir}, parts...)...)
}

// inside is the same file as the node's own processes see it (mounts.go).
func inside(parts ...string) string {
	return filepath.Join(append([]string{"/var/lib/waybill/cluster"}, parts...)...)
}

func (c *Cluster) nodeName() string { return c.Name + "-node" }

func (c *Cluster) settings() (Settings, error) {
	var s Settings
	return s, readJSON(c.Path("cluster.json"), &s)
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("failed to read %s: %w", path, err)
	}
	return nil
}

func writeJSON(path string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(data, '\n'), 0o644)
}

// writeFile replaces the file in one step: a killed writer leaves the old or the new one.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, data, mode); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// lock keeps other up and down runs of this cluster out until release is called.
// The lock is the directory itself, so that no lock file stays behind; it is taken
// again when a down removed the directory meanwhile. With create unset, a cluster
// that does not exist gives fs.ErrNotExist.
func (c *Cluster) lock(create bool) (release func(), err error) {
	for {
		if create {
			if err := os.MkdirAll(c.Dir, 0o755); err != nil {
				return nil, err
			}
		}
		dir, err := os.Open(c.Dir)
		if create && errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
			dir.Close()
			return nil, fmt.Errorf("failed to lock %s: %w", c.Dir, err)
		}
		locked, err1 := dir.Stat()
		current, err2 := os.Stat(c.Dir)
		if err1 == nil && err2 == nil && os.SameFile(locked, current) {
			return func() { dir.Close() }, nil
		}
		dir.Close()
		if !create && errors.Is(err2, fs.ErrNotExist) {
			return nil, err2
		}
	}
}
