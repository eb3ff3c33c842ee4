package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchy is one mounted cgroup tree. Version 1 has one per controller, version 2
// has one for all; a hybrid machine has both, its version 2 tree without controllers.
type hierarchy struct {
	mount  string
	v2     bool
	cpuset bool
}

func hierarchies() ([]hierarchy, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseHierarchies(string(data)), nil
}

func parseHierarchies(mountinfo string) []hierarchy {
	var found []hierarchy
	for _, line := range strings.Split(mountinfo, "\n") {
		left, right, ok := strings.Cut(line, " - ")
		fields, kind := strings.Fields(left), strings.Fields(right)
		if !ok || len(fields) < 5 || len(kind) < 3 || !strings.HasPrefix(fields[4], "/sys/fs/cgroup") {
			continue
		}
		switch kind[0] {
		case "cgroup":
			options := "," + kind[2] + ","
			found = append(found, hierarchy{mount: fields[4], cpuset: strings.Contains(options, ",cpuset,")})
		case "cgroup2":
			found = append(found, hierarchy{mount: fields[4], v2: true})
		}
	}
	return found
}

// pureV2 says whether version 2 is all there is.
func pureV2(all []hierarchy) bool { return len(all) == 1 && all[0].v2 }

// cgroupRoot is the cgroup all processes of the cluster are below, pods included.
func (c *Cluster) cgroupRoot() string { return "/waybill-" + c.Name }

// createCgroups makes the cluster's cgroup in every hierarchy, with one child for
// the servers ("system"); the kubelet makes the one for the pods beside it.
func (c *Cluster) createCgroups() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		root := filepath.Join(h.mount, c.cgroupRoot())
		for _, dir := range []string{root, filepath.Join(root, "system")} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("failed to create cgroup: %w", err)
			}
			if h.cpuset {
				if err := inheritCpuset(dir); err != nil {
					return err
				}
			}
			if dir == root && h.v2 && len(all) == 1 {
				if err := delegate(h.mount, root); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// inheritCpuset: a version 1 cpuset takes no process before it has cpus and memory.
func inheritCpuset(dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if err != nil {
			return fmt.Errorf("failed to read cpuset: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), value, 0o644); err != nil {
			return fmt.Errorf("failed to set cpuset: %w", err)
		}
	}
	return nil
}

// delegate hands the version 2 controllers down to the cluster's cgroup, so that the
// kubelet can hand them to its pods.
func delegate(mount, root string) error {
	for _, controller := range []string{"cpuset", "cpu", "io", "memory", "pids", "hugetlb"} {
		for _, dir := range []string{mount, root} {
			err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
			optional := controller == "hugetlb" || controller == "io"
			if err != nil && !optional {
				return fmt.Errorf("failed to hand the %s controller to %s (is this a container without cgroup delegation?): %w",
					controller, dir, err)
			}
		}
	}
	return nil
}

// joinCgroups moves this process, and so all it starts, to the cluster's cgroup.
func (c *Cluster) joinCgroups() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		procs := filepath.Join(h.mount, c.cgroupRoot(), "system", "cgroup.procs")
		if err := os.WriteFile(procs, []byte("0"), 0o644); err != nil {
			return fmt.Errorf("failed to join cgroup: %w", err)
		}
	}
	return nil
}

// cgroupDirs lists the cluster's cgroups in all hierarchies, parents first.
func (c *Cluster) cgroupDirs() ([]string, error) {
	all, err := hierarchies()
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, h := range all {
		root := filepath.Join(h.mount, c.cgroupRoot())
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil // gone while we looked
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return dirs, nil
}

// cgroupPids lists every process of the cluster, whoever started it.
func (c *Cluster) cgroupPids() (map[int]bool, error) {
	dirs, err := c.cgroupDirs()
	if err != nil {
		return nil, err
	}
	pids := map[int]bool{}
	for _, dir := range dirs {
		data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			continue // gone while we looked
		}
		for _, field := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
				pids[pid] = true
			}
		}
	}
	return pids, nil
}

// emptyCgroups kills until no process is left.
func (c *Cluster) emptyCgroups(timeout time.Duration) error {
	return until(timeout, 20*time.Millisecond, func() error {
		pids, err := c.cgroupPids()
		if err != nil {
			return err
		}
		delete(pids, os.Getpid()) // `wbnode run -- wbnode down` is one of them
		for pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL) // gone already is as good
		}
		if len(pids) > 0 {
			return fmt.Errorf("%d processes do not die: %v", len(pids), pids)
		}
		return nil
	})
}

// removeCgroups deletes all, removePodCgroups what the pods of a dead node left: the
// kubelet loses seconds over each of those.
func (c *Cluster) removeCgroups(timeout time.Duration) error {
	return c.removeCgroupsBut(nil, timeout)
}

func (c *Cluster) removePodCgroups(timeout time.Duration) error {
	return c.removeCgroupsBut([]string{filepath.Base(c.cgroupRoot()), "system"}, timeout)
}

// removeCgroupsBut deletes children before parents; a cgroup is busy for a moment after its last process.
func (c *Cluster) removeCgroupsBut(kept []string, timeout time.Duration) error {
	return until(timeout, 20*time.Millisecond, func() error {
		dirs, err := c.cgroupDirs()
		if err != nil {
			return err
		}
		for i := len(dirs) - 1; i >= 0; i-- {
			if contains(kept, filepath.Base(dirs[i])) {
				continue
			}
			if e := unix.Rmdir(dirs[i]); e != nil && !errors.Is(e, unix.ENOENT) {
				err = fmt.Errorf("failed to remove cgroup %s: %w", dirs[i], e)
			}
		}
		return err
	})
}

// leaveCgroups: a command that runs inside (wbnode run) must not keep what it removes.
func (c *Cluster) leaveCgroups() error {
	pids, err := c.cgroupPids()
	if err != nil || !pids[os.Getpid()] {
		return err
	}
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		if err := os.WriteFile(filepath.Join(h.mount, "cgroup.procs"), []byte("0"), 0o644); err != nil {
			return fmt.Errorf("failed to leave cgroup: %w", err)
		}
	}
	return nil
}
