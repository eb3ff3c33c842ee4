package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strings"
	"time"
)

// entry is one file or directory of the image; a file is copied or has its content here.
type entry struct {
	path    string
	source  string
	content string
	dir     bool
	mode    int64
}

// writeLayer packs the entries and the directories above them, sorted, owned by root and
// dated 1970, and gives the SHA-256 of the result.
func writeLayer(to string, entries []entry) (string, error) {
	file, err := os.Create(to)
	if err != nil {
		return "", err
	}
	defer file.Close()
	writer := tar.NewWriter(file)
	for _, e := range withParents(entries) {
		if err := writeEntry(writer, e); err != nil {
			return "", fmt.Errorf("failed to pack %s: %w", e.path, err)
		}
	}
	if err := writer.Close(); err != nil {
		return "", err
	}
	return digestOf(to)
}

func withParents(entries []entry) []entry {
	all := map[string]entry{}
	for _, e := range entries {
		for dir := path.Dir(e.path); dir != "/"; dir = path.Dir(dir) {
			if _, ok := all[dir]; !ok {
				all[dir] = entry{path: dir, dir: true, mode: 0o755}
			}
		}
		all[e.path] = e
	}
	sorted := make([]entry, 0, len(all))
	for _, e := range all {
		sorted = append(sorted, e)
	}
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].path < sorted[j].path })
	return sorted
}

func writeEntry(writer *tar.Writer, e entry) error {
	name := strings.TrimPrefix(e.path, "/")
	if e.dir {
		return writer.WriteHeader(header(tar.TypeDir, name+"/", e.mode, 0))
	}
	if e.source == "" {
		return writeFile(writer, name, e.mode, int64(len(e.content)), strings.NewReader(e.content))
	}
	file, err := os.Open(e.source)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return writeFile(writer, name, e.mode, info.Size(), file)
}

func writeFile(writer *tar.Writer, name string, mode, size int64, content io.Reader) error {
	if err := writer.WriteHeader(header(tar.TypeReg, name, mode, size)); err != nil {
		return err
	}
	_, err := io.Copy(writer, content)
	return err
}

func header(kind byte, name string, mode, size int64) *tar.Header {
	return &tar.Header{Typeflag: kind, Name: name, Mode: mode, Size: size, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
}

type manifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// writeArchive puts the manifest first, so that a reader finds the names at once.
func writeArchive(to, name string, config []byte, layer, layerDigest string) error {
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	defer file.Close()
	configDigest := sha256.Sum256(config)
	configName := hex.EncodeToString(configDigest[:]) + ".json"
	layerName := layerDigest + "/layer.tar"
	manifests, err := json.Marshal([]manifest{{configName, []string{name}, []string{layerName}}})
	if err != nil {
		return err
	}
	writer := tar.NewWriter(file)
	if err := writeFile(writer, "manifest.json", 0o644, int64(len(manifests)), bytes.NewReader(manifests)); err != nil {
		return err
	}
	if err := writeFile(writer, configName, 0o644, int64(len(config)), bytes.NewReader(config)); err != nil {
		return err
	}
	if err := writeEntry(writer, entry{path: layerName, source: layer, mode: 0o644}); err != nil {
		return err
	}
	return writer.Close()
}

// Names lists the NAME:TAGs in an archive.
func Names(archive string) ([]string, error) {
	file, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	reader := tar.NewReader(file)
	for {
		next, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s is no image archive: it has no manifest.json", archive)
		}
		if err != nil {
			return nil, fmt.Errorf("failed to read %s: %w", archive, err)
		}
		if next.Name != "manifest.json" {
			continue
		}
		var manifests []manifest
		if err := json.NewDecoder(reader).Decode(&manifests); err != nil {
			return nil, fmt.Errorf("failed to read the manifest of %s: %w", archive, err)
		}
		names := []string{}
		for _, m := range manifests {
			names = append(names, m.RepoTags...)
		}
		return names, nil
	}
}

// FullName is the name containerd knows an image by: with a registry and a tag.
func FullName(name string) string {
	first, _, nested := strings.Cut(name, "/")
	switch {
	case !nested:
		name = "docker.io/library/" + name
	case !strings.ContainsAny(first, ".:") && first != "localhost":
		name = "docker.io/" + name
	}
	if !strings.Contains(name[strings.LastIndex(name, "/")+1:], ":") {
		name += ":latest"
	}
	return name
}
