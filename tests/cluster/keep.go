package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// The keeper is the one process of the cluster outside its namespaces. It starts init
// and starts it again when it dies: that is the node losing power and booting. When
// the keeper itself is killed the node goes on; the next `up` starts another, which
// takes over the init it finds.

// startKeeper leaves a keeper running in a session of its own.
func (c *Cluster) startKeeper() error {
	if c.process("keeper").alive() {
		return nil
	}
	output, err := os.OpenFile(c.Path("log", "keeper.out"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer output.Close()
	// The file may be replaced by a newer build; the keeper and its init stay alike.
	keeper := exec.Command("/proc/self/exe", "keep", "--name", c.Name)
	keeper.Args[0] = "wbnode"
	keeper.Dir = "/"
	keeper.Stdout, keeper.Stderr = output, output
	keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := keeper.Start(); err != nil {
		return fmt.Errorf("failed to start the keeper: %w", err)
	}
	return c.record("keeper", keeper.Process.Pid)
}

func runKeep(args []string) error {
	nameProcess("wbnode-keep")
	_, parse := clusterFlags("keep")
	c, err := parse(args)
	if err != nil {
		return err
	}
	log, err := openLog(c.Path("log", "keeper.log"), logLimit)
	if err != nil {
		return err
	}
	if err := c.joinCgroups(); err != nil {
		return err
	}
	c.process("init").wait() // one that outlived its keeper
	backOff := firstBackOff
	for {
		begun := time.Now()
		err := c.runInitOnce()
		if time.Since(begun) > steadyAfter {
			backOff = firstBackOff
		}
		say(log, "init ended (%v); again in %s", err, backOff)
		time.Sleep(backOff)
		backOff = min(2*backOff, lastBackOff)
	}
}

// runInitOnce starts init as process 1 of new namespaces and waits for its end, which
// the kernel makes the end of every process inside.
func (c *Cluster) runInitOnce() error {
	// Should one be left that was never recorded: there must not be two.
	if err := c.emptyCgroups(10 * time.Second); err != nil {
		return err
	}
	if err := c.removePodCgroups(10 * time.Second); err != nil {
		return err
	}
	network, err := os.Open("/proc/self/ns/net")
	if err != nil {
		return err
	}
	defer network.Close()
	node := exec.Command("/proc/self/exe", "init", "--name", c.Name)
	node.Args[0] = "wbnode"
	node.Dir = "/"
	node.Stdout, node.Stderr = os.Stdout, os.Stderr
	node.ExtraFiles = []*os.File{network} // outerNetwork
	node.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	if err := node.Start(); err != nil {
		return fmt.Errorf("failed to start init: %w", err)
	}
	if err := c.record("init", node.Process.Pid); err != nil {
		return err
	}
	return node.Wait()
}
