// Package image makes container images without a builder: a program, the libraries it
// needs and a handful of files, from scratch. The same input gives the same bytes.
package image

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Spec says what goes into an image.
type Spec struct {
	Name       string // NAME:TAG
	Binary     string
	Entrypoint string // where the binary is in the image
}

const (
	user         = "65532:65532"
	certificates = "/etc/ssl/certs/ca-certificates.crt"
)

// Write makes the archive (docker-archive: what docker, ctr and kind load) at path.
func Write(path string, spec Spec) error {
	workspace, err := os.MkdirTemp(filepath.Dir(path), ".image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(workspace)
	files, err := contents(spec, workspace)
	if err != nil {
		return err
	}
	layer := filepath.Join(workspace, "layer.tar")
	digest, err := writeLayer(layer, files)
	if err != nil {
		return err
	}
	architecture, err := architectureOf(spec.Binary)
	if err != nil {
		return err
	}
	config, err := json.Marshal(configFor(spec, architecture, digest))
	if err != nil {
		return err
	}
	archive := filepath.Join(workspace, "archive.tar")
	if err := writeArchive(archive, spec.Name, config, layer, digest); err != nil {
		return err
	}
	return os.Rename(archive, path)
}

// contents lists the files of the image.
func contents(spec Spec, workspace string) ([]entry, error) {
	binary, err := strip(spec.Binary, workspace)
	if err != nil {
		return nil, err
	}
	files := []entry{
		{path: spec.Entrypoint, source: binary, mode: 0o755},
		{path: "/etc/passwd", content: "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n", mode: 0o644},
		{path: "/etc/group", content: "root:x:0:\nnonroot:x:65532:\n", mode: 0o644},
		{path: "/etc/nsswitch.conf", content: "hosts: files dns\n", mode: 0o644},
		{path: "/tmp", dir: true, mode: 0o1777},
	}
	needed, err := libraries(spec.Binary)
	if err != nil {
		return nil, err
	}
	for target, source := range needed {
		files = append(files, entry{path: target, source: source, mode: 0o755})
	}
	if _, err := os.Stat(certificates); err == nil {
		files = append(files, entry{path: certificates, source: certificates, mode: 0o644})
	}
	return files, nil
}

// strip leaves debug information out, where the tool for it exists; names of functions stay.
func strip(binary, workspace string) (string, error) {
	tool, err := exec.LookPath("strip")
	if err != nil {
		return binary, nil
	}
	stripped := filepath.Join(workspace, "binary")
	output, err := exec.Command(tool, "--strip-debug", "-o", stripped, binary).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("failed to strip %s: %w: %s", binary, err, output)
	}
	return stripped, nil
}

func architectureOf(binary string) (string, error) {
	file, err := elf.Open(binary)
	if err != nil {
		return "", fmt.Errorf("failed to read %s: %w", binary, err)
	}
	defer file.Close()
	names := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}
	name, ok := names[file.Machine]
	if !ok {
		return "", fmt.Errorf("no image for machine %s of %s", file.Machine, binary)
	}
	return name, nil
}

type config struct {
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Created      string    `json:"created"`
	Config       execution `json:"config"`
	RootFS       rootFS    `json:"rootfs"`
}

type execution struct {
	User       string
	Env        []string
	Entrypoint []string
	WorkingDir string
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

func configFor(spec Spec, architecture, layerDigest string) config {
	return config{
		Architecture: architecture,
		OS:           "linux",
		Created:      "1970-01-01T00:00:00Z",
		Config: execution{
			User:       user,
			Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			Entrypoint: []string{spec.Entrypoint},
			WorkingDir: "/",
		},
		RootFS: rootFS{Type: "layers", DiffIDs: []string{"sha256:" + layerDigest}},
	}
}

func digestOf(file string) (string, error) {
	opened, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer opened.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, opened); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
