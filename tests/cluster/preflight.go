package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// requirement is a program the node needs and the Debian package that has it.
type requirement struct{ program, debianPackage string }

var requirements = []requirement{
	{"containerd", "containerd"},
	{"ctr", "containerd"},
	{"runc", "runc"},
	{"nft", "nftables"},
	{"iptables", "iptables"},
	{"conntrack", "conntrack"},
	{"ip", "iproute2"},
	{"mount", "mount"},
}

// cniDirs are where distributions put the CNI plugins.
var cniDirs = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

func cniBin() (string, bool) {
	for _, dir := range cniDirs {
		if _, err := os.Stat(filepath.Join(dir, "ptp")); err == nil {
			return dir, true
		}
	}
	return cniDirs[0], false
}

func missingPackages() []string {
	var missing []string
	for _, r := range requirements {
		if _, err := lookPath(r.program); err != nil && !contains(missing, r.debianPackage) {
			missing = append(missing, r.debianPackage)
		}
	}
	if _, ok := cniBin(); !ok {
		missing = append(missing, "containernetworking-plugins")
	}
	return missing
}

// lookPath also looks where a user's PATH often does not.
func lookPath(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no program %s", program)
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

// preflight says everything that is missing, a line each with the way to get it.
func preflight() error {
	var problems []error
	if os.Geteuid() != 0 {
		problems = append(problems, errors.New("a node needs root (namespaces, mounts, cgroups): run it with sudo, or use kind"))
	}
	if missing := missingPackages(); len(missing) > 0 {
		problems = append(problems, fmt.Errorf("packages are missing: apt-get install -y %s", strings.Join(missing, " ")))
	}
	return errors.Join(append(problems, missingCgroups(), missingKernel())...)
}

func missingCgroups() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("no cgroups are mounted: mount -t cgroup2 none /sys/fs/cgroup")
	}
	available, _ := os.ReadFile("/sys/fs/cgroup/cgroup.controllers") // absent with version 1
	found := strings.Fields(string(available))
	if !pureV2(all) {
		for _, h := range all {
			found = append(found, strings.Split(filepath.Base(h.mount), ",")...)
		}
	}
	var problems []error
	for _, controller := range []string{"cpu", "cpuset", "memory", "pids"} {
		if !contains(found, controller) {
			problems = append(problems, fmt.Errorf("the %s cgroup controller is missing: enable it in the kernel, or delegate it to this container", controller))
		}
	}
	return errors.Join(problems...)
}

// missingKernel tries what can be tried without leaving anything.
func missingKernel() error {
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return err
	}
	if strings.Contains(string(known), "\toverlay\n") {
		return nil
	}
	if exec.Command("modprobe", "overlay").Run() == nil {
		return nil
	}
	return errors.New("the kernel has no overlay file system: modprobe overlay")
}

// snapshotter: overlay does not stack on overlay (a container's own root); copying does.
func snapshotter(dir string) string {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) == nil && fs.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "native"
	}
	return "overlayfs"
}

func runPackages([]string) error {
	for _, name := range missingPackages() {
		fmt.Println(name)
	}
	return nil
}
