package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Process names a process for good: a pid alone may have been given to another since.
type Process struct {
	Pid   int    `json:"pid"`
	Start string `json:"start"` // clock ticks since boot
}

func identify(pid int) (Process, error) {
	start, err := startTime(pid)
	return Process{pid, start}, err
}

// alive is false for a zombie too: it can do nothing any more.
func (p Process) alive() bool {
	start, err := startTime(p.Pid)
	return p.Pid > 0 && err == nil && start == p.Start
}

func startTime(pid int) (string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The name, in parentheses, may hold anything; fields are counted after it.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return "", fmt.Errorf("process %d is dead", pid)
	}
	return fields[19], nil
}

func (c *Cluster) process(role string) Process {
	var p Process
	_ = readJSON(c.Path(role+".json"), &p) // no file: the zero Process, which is not alive
	return p
}

func (c *Cluster) record(role string, pid int) error {
	p, err := identify(pid)
	if err != nil {
		return err
	}
	return writeJSON(c.Path(role+".json"), p)
}

// wait returns when the process has ended, child of ours or not.
func (p Process) wait() {
	for p.alive() {
		fd, err := unix.PidfdOpen(p.Pid, 0)
		if err != nil {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		for {
			_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			if !errors.Is(err, unix.EINTR) {
				break
			}
		}
		unix.Close(fd)
	}
}

// kill ends the process with -9 and waits until it is gone.
func (p Process) kill(timeout time.Duration) error {
	if !p.alive() {
		return nil
	}
	if err := unix.Kill(p.Pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("failed to kill process %d: %w", p.Pid, err)
	}
	return until(timeout, 20*time.Millisecond, func() error {
		if p.alive() {
			return fmt.Errorf("process %d does not die", p.Pid)
		}
		return nil
	})
}

// until asks again and again, and gives the last answer when time is up.
func until(timeout, pause time.Duration, check func() error) error {
	deadline := time.Now().Add(timeout)
	for {
		err := check()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pause)
	}
}

// nameProcess is what ps shows: started by way of /proc, it would be called "exe".
func nameProcess(name string) { _ = os.WriteFile("/proc/self/comm", []byte(name), 0o644) }

// outerPids maps pids as the node sees them to pids as the machine sees them.
func outerPids(initPid int) map[int]int {
	pids := map[int]int{}
	namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", initPid))
	if err != nil {
		return pids
	}
	statuses, _ := filepath.Glob("/proc/[0-9]*/status") // the pattern is valid
	for _, path := range statuses {
		theirs, err := os.Readlink(filepath.Join(filepath.Dir(path), "ns/pid"))
		if err != nil || theirs != namespace {
			continue
		}
		if outer, inner, ok := parseNSpid(path); ok {
			pids[inner] = outer
		}
	}
	return pids
}

func parseNSpid(statusPath string) (outer, inner int, ok bool) {
	data, err := os.ReadFile(statusPath)
	if err != nil {
		return 0, 0, false
	}
	for _, line := range strings.Split(string(data), "\n") {
		if rest, found := strings.CutPrefix(line, "NSpid:"); found {
			pids := strings.Fields(rest)
			outer, err1 := strconv.Atoi(pids[0])
			inner, err2 := strconv.Atoi(pids[len(pids)-1])
			return outer, inner, err1 == nil && err2 == nil
		}
	}
	return 0, 0, false
}
