package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

const stopTimeout = 30 * time.Second

func runDown(args []string) error {
	_, parse := clusterFlags("down")
	c, err := parse(args)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("a node is root's: run it with sudo")
	}
	fmt.Printf("cluster %s\n", c.Name)
	return c.down()
}

// down removes the cluster whatever state it is in. The keeper goes first, so that
// nothing is started again; the kernel ends all processes of the namespaces with their
// init, and the namespaces, mounts and network with the last process.
func (c *Cluster) down() error {
	steps := newSteps()
	release, err := c.lock(false)
	if errors.Is(err, fs.ErrNotExist) {
		release = func() {} // the files are gone; cgroups may still be there
		if dirs, err := c.cgroupDirs(); err == nil && len(dirs) == 0 {
			fmt.Println("          nothing to remove")
			return nil
		}
	} else if err != nil {
		return err
	}
	defer release()
	if err := c.process("keeper").kill(stopTimeout); err != nil {
		return err
	}
	if err := c.process("init").kill(stopTimeout); err != nil {
		return err
	}
	if err := c.leaveCgroups(); err != nil {
		return err
	}
	if err := c.emptyCgroups(stopTimeout); err != nil {
		return err
	}
	steps.done("processes, namespaces, mounts, network")
	if err := c.removeCgroups(stopTimeout); err != nil {
		return err
	}
	steps.done("cgroups")
	if err := c.removeFiles(); err != nil {
		return err
	}
	steps.done("files")
	return nil
}

// removeFiles retries: the last mounts below the directory go a moment after the last process.
func (c *Cluster) removeFiles() error {
	if err := until(stopTimeout, 50*time.Millisecond, func() error { return os.RemoveAll(c.Dir) }); err != nil {
		return fmt.Errorf("failed to remove %s: %w", c.Dir, err)
	}
	_ = os.Remove(stateRoot()) // stays while other clusters have their files there
	return nil
}
