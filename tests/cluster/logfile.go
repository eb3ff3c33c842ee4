package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"
)

const logLimit = 8 << 20 // bytes; a part keeps this much twice

// boundedLog is a file that never grows past its limit: the older half is in FILE.1.
type boundedLog struct {
	path  string
	limit int64
	mutex sync.Mutex
	file  *os.File
	size  int64
}

func openLog(path string, limit int64) (*boundedLog, error) {
	l := &boundedLog{path: path, limit: limit}
	return l, l.reopen()
}

func (l *boundedLog) reopen() error {
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	l.size = 0
	if info, err := file.Stat(); err == nil {
		l.size = info.Size()
	}
	l.file = file
	return nil
}

func (l *boundedLog) Write(data []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.size > 0 && l.size+int64(len(data)) > l.limit {
		l.file.Close()
		if err := os.Rename(l.path, l.path+".1"); err != nil {
			return 0, err
		}
		if err := l.reopen(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(data)
	l.size += int64(n)
	return n, err
}

// say writes a line of our own, with the time, the way the parts' lines have it.
func say(to io.Writer, format string, args ...any) {
	fmt.Fprintf(to, "%s %s\n", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}

func runLogs(args []string) error {
	flags, parse := clusterFlags("logs")
	follow := flags.Bool("f", false, "go on as the log grows")
	c, err := parse(args)
	if err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return c.listLogs()
	}
	path := c.Path("log", flags.Arg(0)+".log")
	return copyLog(os.Stdout, path, *follow)
}

func (c *Cluster) listLogs() error {
	paths, _ := filepath.Glob(c.Path("log", "*.log")) // the pattern is valid
	if len(paths) == 0 {
		return c.absent()
	}
	sort.Strings(paths)
	for _, path := range paths {
		fmt.Printf("%-26s %s\n", strings.TrimSuffix(filepath.Base(path), ".log"), path)
	}
	return nil
}

// copyLog prints the older part first; following, it starts again when the log was cut.
func copyLog(to io.Writer, path string, follow bool) error {
	if older, err := os.Open(path + ".1"); err == nil {
		_, err = io.Copy(to, older)
		older.Close()
		if err != nil {
			return err
		}
	}
	for {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		err = copyGrowing(to, file, follow)
		file.Close()
		if err != nil || !follow {
			return err
		}
	}
}

func copyGrowing(to io.Writer, file *os.File, follow bool) error {
	for {
		if _, err := io.Copy(to, file); err != nil || !follow {
			return err
		}
		opened, err1 := file.Stat()
		current, err2 := os.Stat(file.Name())
		if err1 != nil || err2 != nil || !os.SameFile(opened, current) {
			return err1
		}
		time.Sleep(200 * time.Millisecond)
	}
}
