package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"
)

// dynamic is a program with shared libraries that every machine with these tests has.
const dynamic = "/bin/ls"

func write(t *testing.T, spec Spec) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "image.tar")
	if err := Write(path, spec); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSameInputGivesTheSameBytes(t *testing.T) {
	spec := Spec{Name: "waybill:dev", Binary: dynamic, Entrypoint: "/usr/bin/waybill"}
	first := write(t, spec)
	later := time.Now().Add(time.Hour)
	copied := filepath.Join(t.TempDir(), "elsewhere")
	copyFile(t, dynamic, copied)
	if err := os.Chtimes(copied, later, later); err != nil {
		t.Fatal(err)
	}
	spec.Binary = copied
	second := write(t, spec)
	if !bytes.Equal(read(t, first), read(t, second)) {
		t.Error("two images of the same program differ")
	}
}

func TestImageHasAllTheProgramNeedsAndNoMore(t *testing.T) {
	archive := write(t, Spec{Name: "waybill:dev", Binary: dynamic, Entrypoint: "/usr/bin/waybill"})
	_, headers := unpack(t, archive)
	names := []string{}
	for name, header := range headers {
		names = append(names, name)
		if header.ModTime.Unix() != 0 || header.Uid != 0 || header.Gid != 0 {
			t.Errorf("%s is of %d:%d at %s", name, header.Uid, header.Gid, header.ModTime)
		}
	}
	sort.Strings(names)
	all := strings.Join(names, " ")
	for _, wanted := range []string{"usr/bin/waybill", "/libc.so.6", "ld-linux", "etc/passwd", "etc/group"} {
		if !strings.Contains(all, wanted) {
			t.Errorf("no %s in %s", wanted, all)
		}
	}
	if mode := headers["tmp/"].Mode; mode != 0o1777 {
		t.Errorf("/tmp has mode %o", mode)
	}
	if strings.Contains(all, "bin/sh") {
		t.Errorf("there is a shell in %s", all)
	}
}

// The unpacked image runs the program by itself: chroot has nothing of the machine.
func TestProgramRunsWithNothingButTheImage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("chroot needs root")
	}
	archive := write(t, Spec{Name: "waybill:dev", Binary: dynamic, Entrypoint: "/usr/bin/waybill"})
	root := t.TempDir()
	layer, _ := unpack(t, archive)
	extract := exec.Command("tar", "-x", "-C", root)
	extract.Stdin = bytes.NewReader(layer)
	if output, err := extract.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	output, err := exec.Command("chroot", "--userspec=65532:65532", root, "/usr/bin/waybill", "/etc").CombinedOutput()
	if err != nil || !strings.Contains(string(output), "passwd") {
		t.Errorf("%v: %s", err, output)
	}
}

func TestImageRunsAsNobodyInParticular(t *testing.T) {
	archive := write(t, Spec{Name: "waybill:dev", Binary: dynamic, Entrypoint: "/usr/bin/waybill"})
	var got struct {
		Config struct {
			User       string
			Entrypoint []string
		}
	}
	if err := json.Unmarshal(member(t, archive, ".json"), &got); err != nil {
		t.Fatal(err)
	}
	if got.Config.User != "65532:65532" || len(got.Config.Entrypoint) != 1 || got.Config.Entrypoint[0] != "/usr/bin/waybill" {
		t.Errorf("the image runs %v as %q", got.Config.Entrypoint, got.Config.User)
	}
	if names, err := Names(archive); err != nil || len(names) != 1 || names[0] != "waybill:dev" {
		t.Errorf("names %v, %v", names, err)
	}
}

func TestMissingLibraryIsNamed(t *testing.T) {
	_, err := search("libnosuch.so.1", object{path: "/bin/program"}, object{})
	if err == nil || !strings.Contains(err.Error(), "libnosuch.so.1") || !strings.Contains(err.Error(), "/bin/program") {
		t.Errorf("error %v", err)
	}
}

func TestNamesAreCompletedAsContainerdDoes(t *testing.T) {
	for short, full := range map[string]string{
		"waybill":               "docker.io/library/waybill:latest",
		"waybill:dev":           "docker.io/library/waybill:dev",
		"team/waybill:1":        "docker.io/team/waybill:1",
		"localhost/waybill:1":   "localhost/waybill:1",
		"registry:5000/waybill": "registry:5000/waybill:latest",
		"waybill.local/pause:1": "waybill.local/pause:1",
	} {
		if got := FullName(short); got != full {
			t.Errorf("FullName(%q) = %q, want %q", short, got, full)
		}
	}
}

// === helpers ===

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	if err := os.WriteFile(to, read(t, from), 0o755); err != nil {
		t.Fatal(err)
	}
}

// member is the last file in the archive whose name ends so.
func member(t *testing.T, archive, suffix string) []byte {
	t.Helper()
	var found []byte
	reader := tar.NewReader(bytes.NewReader(read(t, archive)))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(header.Name, suffix) {
			if found, err = io.ReadAll(reader); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func unpack(t *testing.T, archive string) (layer []byte, headers map[string]*tar.Header) {
	t.Helper()
	layer = member(t, archive, "layer.tar")
	headers = map[string]*tar.Header{}
	reader := tar.NewReader(bytes.NewReader(layer))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return layer, headers
		}
		if err != nil {
			t.Fatal(err)
		}
		headers[header.Name] = header
	}
}
