package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// seal gives the node its own view of the machine's files: where its servers usually
// write (/var/lib, /var/log, /run, /tmp) they find directories below the cluster's
// state. So nothing needs an unusual path, nothing is left on the machine, and all
// mounts go with the mount namespace. Must run inside that namespace.
func seal(c *Cluster, s Settings) error {
	lib := c.Path("node/lib")
	binary := filepath.Join(lib, "waybill/bin/node")
	if err := writeFile(binary, nil, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(c.Path("node/tmp"), 0o1777); err != nil {
		return err
	}
	steps := []struct {
		source, target, kind string
		flags                uintptr
	}{
		// Mounts made outside may come in; none of ours goes out.
		{"", "/", "", unix.MS_REC | unix.MS_SLAVE},
		{c.Dir, filepath.Join(lib, "waybill/cluster"), "", unix.MS_BIND},
		{s.Node, binary, "", unix.MS_BIND},
		{lib, "/var/lib", "", unix.MS_BIND | unix.MS_REC},
		// From here on the state is at its inside path.
		{inside("node/log"), "/var/log", "", unix.MS_BIND},
		{"tmpfs", "/run", "tmpfs", 0},
		{inside("node/tmp"), "/tmp", "", unix.MS_BIND},
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		// Only now: pods may share mounts with the node, as mountPropagation has it.
		{"", "/", "", unix.MS_REC | unix.MS_SHARED},
	}
	for _, step := range steps {
		if err := unix.Mount(step.source, step.target, step.kind, step.flags, ""); err != nil {
			return fmt.Errorf("failed to mount %s on %s: %w", step.source, step.target, err)
		}
	}
	return errors.Join(linkPrograms(c.parts(s)), setNameServer("/etc/resolv.conf"), coverSysctls())
}

// setNameServer lets forwards use the cluster's names. Where systemd's resolver runs, the
// file is a link into /run, which is the node's own by now.
func setNameServer(path string) error {
	if link, err := os.Readlink(path); err == nil {
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(path), link)
		}
		if strings.HasPrefix(link, "/run/") {
			return writeFile(link, []byte(resolvConf), 0o644)
		}
	}
	if _, err := os.Stat(path); err != nil {
		return nil // only names in forwards will not work
	}
	if err := unix.Mount(conf("resolv.conf"), path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("failed to set the name server: %w", err)
	}
	return nil
}

func linkPrograms(parts []Part) error {
	for _, part := range parts {
		if part.Path != "" {
			continue
		}
		if err := os.Symlink("node", part.path()); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// coverSysctls: the kubelet sets these, but they are the whole machine's. It finds the
// values it wants in files of the node's own, and leaves the machine's alone.
func coverSysctls() error {
	wanted := map[string]string{
		"vm/overcommit_memory":      "1",
		"vm/panic_on_oom":           "0",
		"kernel/panic":              "10",
		"kernel/panic_on_oops":      "1",
		"kernel/keys/root_maxkeys":  "1000000",
		"kernel/keys/root_maxbytes": "25000000",
	}
	for name, value := range wanted {
		target := filepath.Join("/proc/sys", name)
		if _, err := os.Stat(target); err != nil {
			continue // this kernel does not have it
		}
		source := filepath.Join("/run/sysctl", name)
		if err := writeFile(source, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("failed to cover %s: %w", target, err)
		}
	}
	return nil
}
