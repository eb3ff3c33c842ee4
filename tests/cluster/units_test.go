package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestHierarchiesOfEveryKindOfMachineAreFound(t *testing.T) {
	const v1 = `30 25 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
`
	const unified = "33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	const v2 = "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	one := []hierarchy{{mount: "/sys/fs/cgroup/cpu,cpuacct"}, {mount: "/sys/fs/cgroup/cpuset", cpuset: true}}
	cases := map[string][]hierarchy{
		v1:           one,
		v1 + unified: append(one[:2:2], hierarchy{mount: "/sys/fs/cgroup/unified", v2: true}),
		v2:           {{mount: "/sys/fs/cgroup", v2: true}},
		"1 1 0:1 / /mnt/elsewhere rw - cgroup2 none rw": nil,
	}
	for mounts, want := range cases {
		if got := parseHierarchies(mounts); !reflect.DeepEqual(got, want) {
			t.Errorf("parseHierarchies(%q) = %v, want %v", mounts, got, want)
		}
	}
	if !pureV2(cases[v2]) || pureV2(cases[v1+unified]) {
		t.Error("a hybrid machine is taken for version 2, or the other way round")
	}
}

func TestClusterNamesThatCouldEscapeTheirDirectoryAreRefused(t *testing.T) {
	for _, name := range []string{"", ".", "..", "a/b", "A", "-a", "a-", "a b", strings.Repeat("a", 21)} {
		if _, err := open(name); err == nil {
			t.Errorf("the name %q is accepted", name)
		}
	}
	for _, name := range []string{"a", "waybill", "t-1", strings.Repeat("a", 20)} {
		if _, err := open(name); err != nil {
			t.Error(err)
		}
	}
}

func TestLogNeverGrowsPastTwiceItsLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "part.log")
	log, err := openLog(path, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if _, err := log.Write([]byte(strings.Repeat("x", 8) + string(rune('0'+i%10)) + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	var all bytes.Buffer
	if err := copyLog(&all, path, false); err != nil {
		t.Fatal(err)
	}
	if all.Len() != 200 || !strings.HasSuffix(all.String(), "9\n") {
		t.Errorf("kept %d bytes, ending in %q", all.Len(), all.String()[all.Len()-2:])
	}
}

func TestLockIsNotHeldOnADirectoryThatWasRemoved(t *testing.T) {
	t.Setenv("WAYBILL_STATE", t.TempDir())
	c := must(open("locked"))
	if _, err := c.lock(false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a cluster that does not exist is locked: %v", err)
	}
	first, err := c.lock(true)
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan error)
	go func() {
		release, err := c.lock(true)
		if err == nil {
			_, err = os.Stat(c.Dir)
			release()
		}
		second <- err
	}()
	if err := os.RemoveAll(c.Dir); err != nil {
		t.Fatal(err)
	}
	first()
	if err := <-second; err != nil {
		t.Errorf("the second holder has no directory: %v", err)
	}
}

func TestProgressCountsPackagesAndKeepsErrors(t *testing.T) {
	p := newProgress("compiled", 3)
	defer p.stop()
	for _, chunk := range []string{"k8s.io/a", "pi\nk8s.io/b\ngo: downloading x v1\n", "./main.go:1: no such thing\n"} {
		if _, err := p.Write([]byte(chunk)); err != nil {
			t.Fatal(err)
		}
	}
	if p.count != 3 || p.last != "./main.go:1: no such thing\n" {
		t.Errorf("count %d, errors %q", p.count, p.last)
	}
}

// One side's end must reach the other without cutting off what is still on its way back.
func TestPipePassesTheEndOfOneSideOn(t *testing.T) {
	within := must(net.Listen("tcp4", "127.0.0.1:0"))
	outside := must(net.Listen("tcp4", "127.0.0.1:0"))
	defer within.Close()
	defer outside.Close()
	go accept(outside, within.Addr().String())
	go func() {
		connection := must(within.Accept())
		request := must(io.ReadAll(connection)) // returns at the asker's end of writing
		_, _ = connection.Write(bytes.ToUpper(request))
		connection.Close()
	}()
	connection := must(net.Dial("tcp4", outside.Addr().String())).(*net.TCPConn)
	_, _ = connection.Write([]byte("waybill"))
	_ = connection.CloseWrite()
	if answer, err := io.ReadAll(connection); err != nil || string(answer) != "WAYBILL" {
		t.Errorf("answer %q, %v", answer, err)
	}
}

func TestDeadAndReusedPidsAreNotAlive(t *testing.T) {
	me := must(identify(os.Getpid()))
	if !me.alive() {
		t.Error("this process is not alive")
	}
	if (Process{Pid: me.Pid, Start: "1"}).alive() || (Process{}).alive() {
		t.Error("another process with the pid counts as alive")
	}
}

func TestMissingPiecesAreNamedWithTheWayToGetThem(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := os.Stat("/usr/sbin/nft"); err == nil {
		t.Log("nft is found in /usr/sbin, though it is not in PATH")
	}
	missing := missingPackages()
	if !contains(missing, "containerd") {
		t.Errorf("containerd is not in PATH, but only %v are missing", missing)
	}
	err := preflight()
	if err == nil || !strings.Contains(err.Error(), "apt-get install -y") || !strings.Contains(err.Error(), "containerd") {
		t.Errorf("preflight says %v", err)
	}
}
