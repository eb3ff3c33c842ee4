package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// outerNetwork is the file descriptor of the machine's own network namespace.
const outerNetwork = 3

// runInit is process 1 of the node: it makes the namespaces it was born into a node
// (files, network), keeps the parts running and serves the forwards and the tool.
func runInit(args []string) error {
	nameProcess("wbnode-init")
	_, parse := clusterFlags("init")
	c, err := parse(args)
	if err != nil {
		return err
	}
	unix.CloseOnExec(outerNetwork)
	settings, err := c.settings()
	if err != nil {
		return err
	}
	if err := prepareNode(c, settings); err != nil {
		return err
	}
	log, err := openLog(inside("log", "init.log"), logLimit)
	if err != nil {
		return err
	}
	say(log, "node %s starts", c.nodeName())

	forwards := newForwards(inside("forwards.json"), log)
	if err := forwards.restore(settings.Port); err != nil {
		return err
	}
	parts := newSupervisor(log)
	for _, part := range c.parts(settings) {
		parts.add(part)
	}
	go keepObjects(c, log)
	return serveControl(parts, forwards)
}

func prepareNode(c *Cluster, settings Settings) error {
	if err := unix.Sethostname([]byte(c.nodeName())); err != nil {
		return fmt.Errorf("failed to set the host name: %w", err)
	}
	if err := seal(c, settings); err != nil {
		return err
	}
	return createNetwork()
}
