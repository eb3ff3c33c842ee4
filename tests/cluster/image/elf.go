package image

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// libraries finds what a program needs to be loaded: its interpreter and the shared
// libraries, its own and theirs. The result maps paths in the image to files here; all
// libraries go to the one directory the C library is in, which the interpreter searches
// without any configuration.
func libraries(program string) (map[string]string, error) {
	first, err := readObject(program)
	if err != nil {
		return nil, err
	}
	if first.interpreter == "" {
		return nil, nil // static
	}
	found := map[string]string{} // name -> file
	queue := []object{first}
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		for _, name := range next.needed {
			if found[name] != "" || name == filepath.Base(first.interpreter) {
				continue
			}
			library, err := search(name, next, first)
			if err != nil {
				return nil, err
			}
			found[name] = library.path
			queue = append(queue, library)
		}
	}
	dir := "/lib"
	if libc := found["libc.so.6"]; libc != "" {
		dir = filepath.Dir(libc)
	}
	files := map[string]string{first.interpreter: first.interpreter}
	for name, file := range found {
		files[filepath.Join(dir, name)] = file
	}
	return files, nil
}

// object is what matters here of one ELF file.
type object struct {
	path        string
	machine     elf.Machine
	interpreter string
	needed      []string
	runPaths    []string
}

func readObject(path string) (object, error) {
	file, err := elf.Open(path)
	if err != nil {
		return object{}, fmt.Errorf("failed to read %s: %w", path, err)
	}
	defer file.Close()
	o := object{path: path, machine: file.Machine}
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			data, err := io.ReadAll(segment.Open())
			if err != nil {
				return o, fmt.Errorf("failed to read %s: %w", path, err)
			}
			o.interpreter = strings.TrimRight(string(data), "\x00")
		}
	}
	if file.SectionByType(elf.SHT_DYNAMIC) == nil {
		return o, nil
	}
	if o.needed, err = file.DynString(elf.DT_NEEDED); err != nil {
		return o, fmt.Errorf("failed to read %s: %w", path, err)
	}
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		lists, err := file.DynString(tag)
		if err != nil {
			return o, fmt.Errorf("failed to read %s: %w", path, err)
		}
		for _, list := range lists {
			list = strings.ReplaceAll(list, "${ORIGIN}", "$ORIGIN")
			list = strings.ReplaceAll(list, "$ORIGIN", filepath.Dir(path))
			o.runPaths = append(o.runPaths, filepath.SplitList(list)...)
		}
	}
	return o, nil
}

// search looks where the interpreter would, and passes over libraries for other machines.
func search(name string, neededBy, program object) (object, error) {
	for _, dir := range append(neededBy.runPaths, systemDirs()...) {
		path := filepath.Join(dir, name)
		library, err := readObject(path)
		if err == nil && library.machine == program.machine {
			return library, nil
		}
	}
	return object{}, fmt.Errorf("no library %s, which %s needs", name, neededBy.path)
}

// systemDirs: the configured directories and the usual ones.
func systemDirs() []string {
	dirs := []string{}
	configs, _ := filepath.Glob("/etc/ld.so.conf.d/*.conf") // the pattern is valid
	for _, config := range configs {
		data, err := os.ReadFile(config)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		for _, line := range strings.Split(string(data), "\n") {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "/") {
				dirs = append(dirs, line)
			}
		}
	}
	return append(dirs, "/lib64", "/usr/lib64", "/lib", "/usr/lib")
}
