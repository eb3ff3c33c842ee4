package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"runtime"
	"sort"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const apiTarget = nodeIP + ":6443"

// forwards are loopback ports outside that lead to addresses inside. A socket belongs
// to the network namespace it is made in, so only the listening is done outside.
type forwards struct {
	path  string // target -> port, kept so that a restarted node listens on the same
	log   io.Writer
	mutex sync.Mutex
	open  map[string]net.Listener
}

func newForwards(path string, log io.Writer) *forwards {
	return &forwards{path: path, log: log, open: map[string]net.Listener{}}
}

// restore opens the API server's port, which must be the one in the kubeconfig, and
// what was forwarded when the node last ran.
func (f *forwards) restore(apiPort int) error {
	ports := map[string]int{}
	if err := readJSON(f.path, &ports); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for target, port := range ports {
		if _, err := f.listen(target, port); err != nil {
			say(f.log, "forward to %s is lost: %v", target, err)
		}
	}
	_, err := f.listen(apiTarget, apiPort)
	return err
}

// add gives the address outside; the one there is, if the target has one.
func (f *forwards) add(target string) (string, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if listener, ok := f.open[target]; ok {
		return listener.Addr().String(), nil
	}
	if _, _, err := net.SplitHostPort(target); err != nil {
		return "", fmt.Errorf("forward %q: want HOST:PORT", target)
	}
	address, err := f.listen(target, 0)
	if err != nil {
		return "", err
	}
	return address, f.save()
}

func (f *forwards) listen(target string, port int) (string, error) {
	listener, err := listenOutside(port)
	if err != nil {
		return "", err
	}
	f.open[target] = listener
	go accept(listener, target)
	return listener.Addr().String(), nil
}

func (f *forwards) remove(target string) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	listener, ok := f.open[target]
	if !ok || target == apiTarget {
		return fmt.Errorf("no forward to %s", target)
	}
	delete(f.open, target)
	listener.Close()
	return f.save()
}

func (f *forwards) save() error {
	ports := map[string]int{}
	for target, listener := range f.open {
		if target != apiTarget {
			ports[target] = listener.Addr().(*net.TCPAddr).Port
		}
	}
	return writeJSON(f.path, ports)
}

// Forward is one of them as `wbnode forward` lists it.
type Forward struct{ Target, Address string }

func (f *forwards) list() []Forward {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	all := []Forward{}
	for target, listener := range f.open {
		all = append(all, Forward{target, listener.Addr().String()})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Target < all[j].Target })
	return all
}

// listenOutside makes a loopback listener in the machine's network namespace.
func listenOutside(port int) (listener net.Listener, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Never unlocked: the thread ends with the goroutine and takes the namespace along.
		runtime.LockOSThread()
		if err = unix.Setns(outerNetwork, unix.CLONE_NEWNET); err != nil {
			err = fmt.Errorf("failed to enter the outer network: %w", err)
			return
		}
		listener, err = net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	}()
	<-done
	return listener, err
}

func accept(listener net.Listener, target string) {
	for {
		outside, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond) // no file descriptor is free: one will be
			continue
		}
		go pipe(outside.(*net.TCPConn), target)
	}
}

// pipe copies both ways until both sides have ended; one side's end is passed on alone.
func pipe(outside *net.TCPConn, target string) {
	defer outside.Close()
	connection, err := net.Dial("tcp4", target)
	if err != nil {
		_ = outside.SetLinger(0) // the caller sees a reset, not an empty answer
		return
	}
	within := connection.(*net.TCPConn)
	defer within.Close()
	var both sync.WaitGroup
	both.Add(2)
	copyEnd := func(to, from *net.TCPConn) {
		defer both.Done()
		if _, err := io.Copy(to, from); err != nil {
			_ = to.SetLinger(0)
			to.Close()
			return
		}
		_ = to.CloseWrite()
	}
	go copyEnd(within, outside)
	go copyEnd(outside, within)
	both.Wait()
}

func runForward(args []string) error {
	flags, parse := clusterFlags("forward")
	remove := flags.Bool("delete", false, "close the forward again")
	c, err := parse(args)
	if err != nil {
		return err
	}
	if flags.NArg() == 0 {
		var all []Forward
		if err := c.ask("GET", "/forwards", &all); err != nil {
			return err
		}
		for _, f := range all {
			fmt.Printf("%-22s -> %s\n", f.Address, f.Target)
		}
		return nil
	}
	if *remove {
		return c.ask("DELETE", "/forwards/"+flags.Arg(0), nil)
	}
	var made Forward
	if err := c.ask("POST", "/forwards/"+flags.Arg(0), &made); err != nil {
		return err
	}
	fmt.Println(made.Address)
	return nil
}
