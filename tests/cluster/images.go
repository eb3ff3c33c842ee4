package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"waybill.dev/tests/cluster/image"
)

// archiveLabel on an image in containerd holds the digest of the archive it came from.
const archiveLabel = "waybill.dev/archive"

func runLoad(args []string) error {
	flags, parse := clusterFlags("load")
	c, err := parse(args)
	if err != nil {
		return err
	}
	if !c.process("init").alive() {
		return c.absent()
	}
	for _, path := range flags.Args() {
		begun := time.Now()
		names, loaded, err := c.load(path)
		if err != nil {
			return fmt.Errorf("failed to load %s: %w", path, err)
		}
		what := "unchanged"
		if loaded {
			what = "loaded"
		}
		fmt.Printf("  %5.1fs  %s %s\n", time.Since(begun).Seconds(), what, strings.Join(names, " "))
	}
	return nil
}

// load imports an archive, unless all its names are there with its digest.
func (c *Cluster) load(path string) (names []string, loaded bool, err error) {
	names, err = image.Names(path)
	if err != nil {
		return nil, false, err
	}
	digest, err := fileDigest(path)
	if err != nil {
		return nil, false, err
	}
	present, err := c.ctr("images", "ls", "-q", fmt.Sprintf("labels.%q==%s", archiveLabel, digest))
	if err != nil {
		return nil, false, err
	}
	missing := []string{}
	for _, name := range names {
		if !contains(strings.Fields(present), image.FullName(name)) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return names, false, nil
	}
	if _, err := c.ctr("images", "import", path); err != nil {
		return nil, false, err
	}
	for _, name := range names {
		if _, err := c.ctr("images", "label", image.FullName(name), archiveLabel+"="+digest); err != nil {
			return nil, false, err
		}
	}
	return names, true, nil
}

// ctr is containerd's own client, used from outside by way of init's root.
func (c *Cluster) ctr(args ...string) (string, error) {
	path, err := lookPath("ctr")
	if err != nil {
		return "", err
	}
	address := c.insideRoot(c.process("init").Pid, containerdSocket)
	if _, err := os.Stat(address); err != nil {
		return "", errors.New("containerd is not there yet")
	}
	command := exec.Command(path, append([]string{"--address", address, "-n", "k8s.io"}, args...)...)
	if settings, err := c.settings(); err == nil {
		command.Env = append(os.Environ(), "CONTAINERD_SNAPSHOTTER="+settings.Snapshotter)
	}
	output, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ctr %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return string(output), nil
}

// loadPause makes the sandbox image from our own pause program and imports it.
func (c *Cluster) loadPause(program string) error {
	archive := c.Path("node/pause.tar")
	spec := image.Spec{Name: pauseImage, Binary: program, Entrypoint: "/pause"}
	if err := image.Write(archive, spec); err != nil {
		return err
	}
	defer os.Remove(archive)
	_, _, err := c.load(archive)
	return err
}

func fileDigest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return "sha256-" + hex.EncodeToString(hash.Sum(nil)), nil
}

func runImage(args []string) error {
	flags := flag.NewFlagSet("wbnode image", flag.ContinueOnError)
	var spec image.Spec
	flags.StringVar(&spec.Name, "name", "", "NAME:TAG of the image")
	flags.StringVar(&spec.Binary, "binary", "", "the program")
	flags.StringVar(&spec.Entrypoint, "entrypoint", "", "where it is in the image (default: /usr/bin/ and its name)")
	out := flags.String("out", "", "the archive to write")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if spec.Name == "" || spec.Binary == "" || *out == "" {
		return errors.New("usage: wbnode image --name NAME:TAG --binary PATH --out IMAGE.tar [--entrypoint PATH]")
	}
	if spec.Entrypoint == "" {
		spec.Entrypoint = "/usr/bin/" + filepath.Base(spec.Binary)
	}
	begun := time.Now()
	if err := image.Write(*out, spec); err != nil {
		return err
	}
	info, err := os.Stat(*out)
	if err != nil {
		return err
	}
	fmt.Printf("  %5.1fs  image %s, %.1f MB, in %s\n", time.Since(begun).Seconds(), spec.Name, float64(info.Size())/1e6, *out)
	return nil
}
