package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Everything a cluster could leave is listed before it is started and after it is
// removed: the two lists are the same.

func TestDownLeavesNothing(t *testing.T) {
	n := ownNode(t, "trace")
	before := machine(t)
	n.must(t, "up", "--unsafe-no-fsync")
	n.startWeb(t, "trace")
	n.must(t, "forward", "web.trace:80")
	command := n.command("run", "--", "sleep", "600") // it is the cluster's: down ends it
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		pids, err := n.cluster().cgroupPids()
		if err == nil && !pids[command.Process.Pid] {
			err = errors.New("the command is not in the cluster's cgroup")
		}
		return err
	})
	inside := n.watch(t)
	sameTrace(t, "while the cluster runs", outsideOnly(before), outsideOnly(machine(t)))
	n.must(t, "down")
	_ = command.Wait() // it was killed
	inside.wantGone(t)
	sameTrace(t, "after down", before, machine(t))
	n.must(t, "down")
	sameTrace(t, "after the second down", before, machine(t))
}

// An up that was killed at any moment leaves nothing that down does not find.
func TestDownLeavesNothingAfterAnUpCutShort(t *testing.T) {
	for _, reached := range []string{"cluster.json", "keeper.json", "init.json", "log/etcd.log", "log/kubelet.log"} {
		t.Run(filepath.Base(reached), func(t *testing.T) {
			n := ownNode(t, "cut")
			before := machine(t)
			up := n.command("up", "--unsafe-no-fsync")
			if err := up.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() error { _, err := os.Stat(n.cluster().Path(reached)); return err })
			if err := up.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = up.Wait() // it was killed
			n.must(t, "down")
			sameTrace(t, "after down", before, machine(t))
		})
	}
}

// Even with the files that name its processes lost, down finds them.
func TestDownLeavesNothingWithoutItsRecords(t *testing.T) {
	n := ownNode(t, "lost")
	before := machine(t)
	n.must(t, "up", "--unsafe-no-fsync")
	inside := n.watch(t)
	for _, file := range []string{"keeper.json", "init.json", "cluster.json"} {
		if err := os.Remove(n.cluster().Path(file)); err != nil {
			t.Fatal(err)
		}
	}
	n.must(t, "down")
	inside.wantGone(t)
	sameTrace(t, "after down", before, machine(t))
}

func TestDownLeavesNothingAfterItsSupervisorsAreKilled(t *testing.T) {
	n := ownNode(t, "headless")
	before := machine(t)
	n.must(t, "up", "--unsafe-no-fsync")
	inside := n.watch(t)
	n.must(t, "kill", "keeper")
	n.must(t, "kill", "init")
	n.must(t, "down")
	inside.wantGone(t)
	sameTrace(t, "after down", before, machine(t))
}

// === helpers ===

// trace lists what there is on the machine, by kind.
type trace map[string][]string

// machine leaves out what other clusters and their tests own.
func machine(t *testing.T) trace {
	t.Helper()
	found := trace{
		"mounts":   lines(t, "/proc/self/mountinfo"),
		"links":    must(filepath.Glob("/sys/class/net/*")),
		"networks": must(filepath.Glob("/run/netns/*")),
		"sysctls":  sysctls(),
		"cgroups":  ours(must(filepath.Glob("/sys/fs/cgroup/waybill-*")), must(filepath.Glob("/sys/fs/cgroup/*/waybill-*"))),
		"state":    ours(must(filepath.Glob(stateRoot() + "/*"))),
		"tools":    ours(toolProcesses()),
	}
	for _, dir := range []string{"/etc", "/run", "/opt", "/var/lib", "/var/log", "/tmp"} {
		found["files in "+dir] = files(dir)
	}
	return found
}

// outsideOnly is what a running cluster must not change either.
func outsideOnly(t trace) trace {
	kept := trace{}
	for kind, entries := range t {
		if kind != "cgroups" && kind != "state" && kind != "tools" {
			kept[kind] = entries
		}
	}
	return kept
}

// ours keeps what has the name of a cluster of this test run in it.
func ours(lists ...[]string) []string {
	kept := []string{}
	for _, list := range lists {
		for _, entry := range list {
			if strings.Contains(entry, fmt.Sprintf("t%d-", os.Getpid())) && !strings.Contains(entry, "-shared") {
				kept = append(kept, entry)
			}
		}
	}
	sort.Strings(kept)
	return kept
}

// toolProcesses are keepers, inits, shims and whatever else was started with a name of ours.
func toolProcesses() []string {
	found := []string{}
	for _, path := range must(filepath.Glob("/proc/[0-9]*/cmdline")) {
		if command, err := os.ReadFile(path); err == nil {
			found = append(found, strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	return found
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(string(data), "\n")
	sort.Strings(all)
	return all
}

// sysctls are those a kubelet or a proxy would set for the whole machine.
func sysctls() []string {
	found := []string{}
	for _, name := range []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet", "net/netfilter/nf_conntrack_max"} {
		value, err := os.ReadFile("/proc/sys/" + name)
		found = append(found, fmt.Sprint(name, "=", string(value), err))
	}
	return found
}

// files walks two levels: a leak shows at its top. State of clusters and the Go tool's own
// work directories are not looked at here.
func files(root string) []string {
	found := []string{}
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		relative, _ := filepath.Rel(root, path) // both are absolute
		if err != nil || path == stateRoot() {
			return fs.SkipDir
		}
		depth := strings.Count(relative, "/")
		if entry.IsDir() && (depth >= 2 || root == "/tmp") && path != root {
			return fs.SkipDir
		}
		if root != "/tmp" || strings.Contains(path, "containerd") || strings.Contains(path, "ctd-") {
			found = append(found, path)
		}
		return nil
	})
	return found
}

func sameTrace(t *testing.T, when string, before, after trace) {
	t.Helper()
	for kind := range before {
		if more := without(after[kind], before[kind]); len(more) > 0 {
			t.Errorf("%s, left in %s: %q", when, kind, more)
		}
		if fewer := without(before[kind], after[kind]); len(fewer) > 0 {
			t.Errorf("%s, gone from %s: %q", when, kind, fewer)
		}
	}
}

func without(list, excluded []string) []string {
	rest := []string{}
	for _, entry := range list {
		if !contains(excluded, entry) {
			rest = append(rest, entry)
		}
	}
	return rest
}

// watched is what a running cluster consists of: processes and the namespaces they are in.
type watched struct {
	processes  []Process
	namespaces map[string]bool
	when       int // clock ticks since boot
}

func (n node) watch(t *testing.T) watched {
	t.Helper()
	w := watched{namespaces: map[string]bool{}}
	pids, err := n.cluster().cgroupPids()
	if err != nil {
		t.Fatal(err)
	}
	for pid := range pids {
		if p, err := identify(pid); err == nil {
			w.processes = append(w.processes, p)
		}
		for _, link := range namespacesOf(pid) {
			w.namespaces[link] = true
		}
	}
	for _, link := range namespacesOf(os.Getpid()) {
		delete(w.namespaces, link) // the keeper has the machine's
	}
	if len(w.processes) < 10 || len(w.namespaces) < 3 {
		t.Fatalf("a running cluster has more than %d processes in %d namespaces", len(w.processes), len(w.namespaces))
	}
	for _, p := range w.processes {
		w.when = max(w.when, must(strconv.Atoi(p.Start)))
	}
	return w
}

func namespacesOf(pid int) []string {
	links := []string{}
	for _, kind := range []string{"net", "mnt", "pid", "uts", "ipc", "cgroup"} {
		if link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind)); err == nil {
			links = append(links, link)
		}
	}
	return links
}

func (w watched) wantGone(t *testing.T) {
	t.Helper()
	for _, p := range w.processes {
		if err := until(5*time.Second, 20*time.Millisecond, func() error {
			if p.alive() {
				return errors.New("alive")
			}
			return nil
		}); err != nil {
			t.Errorf("process %d is %v", p.Pid, err)
		}
	}
	for _, status := range must(filepath.Glob("/proc/[0-9]*/ns")) {
		var pid int
		_, _ = fmt.Sscanf(status, "/proc/%d/ns", &pid)
		// A namespace that is gone leaves its number to a new one, of another cluster's pod say.
		if p, err := identify(pid); err != nil || must(strconv.Atoi(p.Start)) > w.when {
			continue
		}
		for _, link := range namespacesOf(pid) {
			if w.namespaces[link] {
				t.Errorf("process %d still is in %s", pid, link)
			}
		}
	}
}
