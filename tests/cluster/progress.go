package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const progressEvery = 5 * time.Second

// progress counts lines, one for a package, and every few seconds says how many there were.
// Lines that are no package (they have a space) are kept as the errors they are.
type progress struct {
	verb    string
	total   int
	begun   time.Time
	mutex   sync.Mutex
	partial []byte
	count   int
	last    string
	ticker  *time.Ticker
	done    chan struct{}
}

func newProgress(verb string, total int) *progress {
	p := &progress{verb: verb, total: total, begun: time.Now(), ticker: time.NewTicker(progressEvery), done: make(chan struct{})}
	go func() {
		for {
			select {
			case <-p.ticker.C:
				p.print()
			case <-p.done:
				return
			}
		}
	}()
	return p
}

func (p *progress) stop() {
	p.ticker.Stop()
	close(p.done)
}

func (p *progress) Write(data []byte) (int, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.partial = append(p.partial, data...)
	for {
		end := bytes.IndexByte(p.partial, '\n')
		if end < 0 {
			return len(data), nil
		}
		p.line(string(p.partial[:end]))
		p.partial = p.partial[end+1:]
	}
}

func (p *progress) line(line string) {
	if strings.HasPrefix(line, "go: downloading ") || !strings.Contains(line, " ") {
		p.count++
		return
	}
	p.last += line + "\n"
}

func (p *progress) print() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	elapsed := time.Since(p.begun).Round(time.Second)
	if p.total == 0 {
		fmt.Printf("  %6s  %s %d modules\n", elapsed, p.verb, p.count)
		return
	}
	if p.count >= p.total-1 {
		fmt.Printf("  %6s  %s all packages, linking\n", elapsed, p.verb)
		return
	}
	fmt.Printf("  %6s  %s %d of %d packages\n", elapsed, p.verb, p.count, p.total)
}

func withProgress(command *exec.Cmd, total int) error {
	progress := newProgress("compiled", total)
	defer progress.stop()
	command.Stderr = progress
	if err := command.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, progress.last)
	}
	return nil
}
