package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	kubernetesVersion = "v1.34.4"
	helm3Version      = "v3.19.2"
	helm4Version      = "v4.3.1"
)

// artefact is a program built from a Go module of this directory, kept in the cache
// under a key made of everything it is built from.
type artefact struct {
	name    string
	module  string // directory of the go.mod
	sources string // directory of our own sources of it, in the module
	target  string // package
	ldflags string
	what    string // said while it is built
}

var artefacts = []artefact{
	{
		name: "node", module: "node", sources: ".", target: ".",
		ldflags: linkVersion("k8s.io/component-base/version", "gitVersion="+kubernetesVersion, "gitMajor=1", "gitMinor=34", "gitTreeState=clean"),
		what:    "Kubernetes " + kubernetesVersion + ", etcd and CoreDNS (this happens once; about 7 minutes on 2 cores)",
	},
	{
		name: "helm3", module: "helm3", sources: ".", target: "helm.sh/helm/v3/cmd/helm",
		ldflags: linkVersion("helm.sh/helm/v3/internal/version", "version="+helm3Version) +
			linkVersion("helm.sh/helm/v3/pkg/chartutil", "k8sVersionMajor=1", "k8sVersionMinor=34") +
			linkVersion("helm.sh/helm/v3/pkg/lint/rules", "k8sVersionMajor=1", "k8sVersionMinor=34"),
		what: "helm " + helm3Version + " (this happens once; about 2 minutes)",
	},
	{
		name: "helm4", module: "helm4", sources: ".", target: "helm.sh/helm/v4/cmd/helm",
		ldflags: linkVersion("helm.sh/helm/v4/internal/version", "version="+helm4Version),
		what:    "helm " + helm4Version + " (this happens once; about 3 minutes)",
	},
	{name: "pause", module: ".", sources: "pause", target: "./pause", what: "the pause program"},
}

func linkVersion(pkg string, values ...string) string {
	flags := ""
	for _, value := range values {
		flags += " -X " + pkg + "." + value
	}
	return flags
}

// build makes sure the named artefacts are in the cache and gives their paths.
func build(names ...string) (map[string]string, error) {
	paths := map[string]string{}
	for _, a := range artefacts {
		if !contains(names, a.name) {
			continue
		}
		path, err := a.path()
		if err != nil {
			return nil, err
		}
		if err := a.ensure(path); err != nil {
			return nil, fmt.Errorf("failed to build %s: %w", a.name, err)
		}
		paths[a.name] = path
	}
	return paths, nil
}

func runBuild(args []string) error {
	if len(args) == 0 {
		args = []string{"node", "pause", "helm3", "helm4"}
	}
	for _, name := range args {
		if _, err := artefactPath(name); err != nil {
			return err
		}
	}
	paths, err := build(args...)
	if err != nil {
		return err
	}
	for _, name := range args {
		fmt.Printf("  %-6s %s\n", name, paths[name])
	}
	return nil
}

// artefactPath is where the program is, once built. kubectl is the node binary by another name.
func artefactPath(name string) (string, error) {
	wanted := name
	if name == "kubectl" {
		wanted = "node"
	}
	for _, a := range artefacts {
		if a.name == wanted {
			path, err := a.path()
			return filepath.Join(filepath.Dir(path), name), err
		}
	}
	return "", fmt.Errorf("build %q: want node, helm3 or helm4", name)
}

func (a artefact) path() (string, error) {
	key, err := a.key()
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	return filepath.Join(cache, a.name+"-"+key, a.name), err
}

func cacheDir() (string, error) {
	dir, err := os.UserCacheDir() // XDG_CACHE_HOME, else ~/.cache
	return filepath.Join(dir, "waybill"), err
}

// key hashes go.mod, go.sum, the sources and the flags.
func (a artefact) key() (string, error) {
	source, err := sourceDir()
	if err != nil {
		return "", err
	}
	module := filepath.Join(source, a.module)
	files, _ := filepath.Glob(filepath.Join(module, a.sources, "*.go")) // the pattern is valid
	files = append(files, filepath.Join(module, "go.mod"), filepath.Join(module, "go.sum"))
	sort.Strings(files)
	hash := sha256.New()
	fmt.Fprintln(hash, a.target, a.ldflags, runtime.GOARCH)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(hash, filepath.Base(file), len(data))
		hash.Write(data)
	}
	return hex.EncodeToString(hash.Sum(nil))[:12], nil
}

// sourceDir is this directory of the checkout: WAYBILL_CLUSTER_SOURCE, where the tool was
// compiled, or found from the working directory up.
func sourceDir() (string, error) {
	candidates := []string{os.Getenv("WAYBILL_CLUSTER_SOURCE")}
	if _, file, _, ok := runtime.Caller(0); ok {
		candidates = append(candidates, filepath.Dir(file))
	}
	if dir, err := os.Getwd(); err == nil {
		for ; dir != "/"; dir = filepath.Dir(dir) {
			candidates = append(candidates, filepath.Join(dir, "tests/cluster"))
		}
	}
	for _, dir := range candidates {
		if _, err := os.Stat(filepath.Join(dir, "node", "go.mod")); dir != "" && err == nil {
			return dir, nil
		}
	}
	return "", errors.New("the sources of the node are not here: run in the checkout, or set WAYBILL_CLUSTER_SOURCE to its tests/cluster")
}

// ensure builds into the cache, one build of an artefact at a time.
func (a artefact) ensure(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	release, err := lockFile(filepath.Dir(path), a.name)
	if err != nil {
		return err
	}
	defer release()
	if _, err := os.Stat(path); err == nil {
		return nil // another build made it meanwhile
	}
	begun := time.Now()
	fmt.Printf("building %s\n", a.what)
	if err := a.compile(path + ".new"); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	fmt.Printf("  %5.1fs  built %s\n", time.Since(begun).Seconds(), path)
	if a.name != "node" {
		return nil
	}
	return os.Symlink("node", filepath.Join(filepath.Dir(path), "kubectl"))
}

// lockFile takes the lock on a directory, and says so when that means waiting.
func lockFile(path, what string) (release func(), err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		return func() { file.Close() }, nil
	}
	fmt.Printf("another build of %s is under way: waiting for it\n", what)
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		return nil, err
	}
	return func() { file.Close() }, nil
}

func (a artefact) compile(output string) error {
	source, err := sourceDir()
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("go"); err != nil {
		return errors.New("the go command is missing: install Go 1.26 or newer from https://go.dev/dl")
	}
	module := filepath.Join(source, a.module)
	total, err := stalePackages(module, a.target)
	if err != nil {
		return err
	}
	command := goCommand(module, "build", "-v", "-trimpath", "-ldflags=-s -w"+a.ldflags, "-o", output, a.target)
	return withProgress(command, total)
}

func goCommand(module string, args ...string) *exec.Cmd {
	command := exec.Command("go", args...)
	command.Dir = module
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off")
	return command
}

// stalePackages counts what is still to be compiled. The first time it downloads, too.
func stalePackages(module, target string) (int, error) {
	command := goCommand(module, "list", "-deps", "-trimpath", "-f", "{{.Stale}}", target)
	progress := newProgress("downloaded", 0)
	defer progress.stop()
	command.Stderr = progress
	output, err := command.Output()
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, progress.last)
	}
	return strings.Count(string(output), "true"), nil
}
