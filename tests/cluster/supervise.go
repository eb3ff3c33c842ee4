package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	firstBackOff = 100 * time.Millisecond
	lastBackOff  = 5 * time.Second
	steadyAfter  = 10 * time.Second // a part that ran this long starts again at once
)

// PartStatus is what `wbnode status` shows of a part. Pid is the one inside.
type PartStatus struct {
	Name     string    `json:"name"`
	Pid      int       `json:"pid"`
	Running  bool      `json:"running"`
	Waiting  string    `json:"waiting,omitempty"` // what its start waits for
	Restarts int       `json:"restarts"`
	Since    time.Time `json:"since"`
}

// supervisor keeps the parts running for as long as it lives itself.
type supervisor struct {
	reaper *reaper
	log    io.Writer
	mutex  sync.Mutex
	status map[string]*PartStatus
	order  []string
}

func newSupervisor(log io.Writer) *supervisor {
	return &supervisor{reaper: newReaper(), log: log, status: map[string]*PartStatus{}}
}

func (s *supervisor) add(part Part) {
	s.order = append(s.order, part.Name)
	s.status[part.Name] = &PartStatus{Name: part.Name, Since: time.Now()}
	go s.tend(part)
}

// tend starts the part whenever it does not run, slower and slower if it keeps ending.
func (s *supervisor) tend(part Part) {
	backOff := firstBackOff
	for {
		s.await(part)
		begun := time.Now()
		ended, err := s.runOnce(part)
		if err != nil {
			ended = err.Error()
		}
		if time.Since(begun) > steadyAfter {
			backOff = firstBackOff
		}
		say(s.log, "%s: %s; again in %s", part.Name, ended, backOff)
		time.Sleep(backOff)
		backOff = min(2*backOff, lastBackOff)
	}
}

func (s *supervisor) await(part Part) {
	for {
		err := part.Needs()
		if err == nil {
			return
		}
		s.update(part.Name, func(p *PartStatus) { p.Waiting = err.Error() })
		time.Sleep(50 * time.Millisecond)
	}
}

// runOnce returns, when the part has ended, how it did.
func (s *supervisor) runOnce(part Part) (string, error) {
	output, err := partOutput(part.Name)
	if err != nil {
		return "", err
	}
	defer output.Close()
	pid, done, err := s.reaper.start(part.path(), append([]string{part.Name}, part.Args...), output)
	if err != nil {
		return "", err
	}
	say(s.log, "%s: started", part.Name)
	s.update(part.Name, func(p *PartStatus) {
		p.Pid, p.Running, p.Waiting, p.Since = pid, true, "", time.Now()
	})
	ended := <-done
	s.update(part.Name, func(p *PartStatus) {
		p.Running, p.Since = false, time.Now()
		p.Restarts++
	})
	return describe(ended), nil
}

// partOutput is a pipe into the part's bounded log. Whatever the part leaves running
// (shims) may keep it open, so the copying ends by itself when the last one closes it.
func partOutput(name string) (*os.File, error) {
	log, err := openLog(inside("log", name+".log"), logLimit)
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		_, _ = io.Copy(log, read) // a full disk costs log lines, not the part
		read.Close()
		log.file.Close()
	}()
	return write, nil
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "killed by signal " + unix.SignalName(status.Signal())
	}
	return fmt.Sprintf("exited with %d", status.ExitStatus())
}

func (s *supervisor) update(name string, change func(*PartStatus)) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	change(s.status[name])
}

func (s *supervisor) snapshot() []PartStatus {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	all := make([]PartStatus, 0, len(s.order))
	for _, name := range s.order {
		all = append(all, *s.status[name])
	}
	return all
}
