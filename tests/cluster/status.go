package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func runStatus(args []string) error {
	_, parse := clusterFlags("status")
	c, err := parse(args)
	if err != nil {
		return err
	}
	var parts []PartStatus
	if err := c.ask("GET", "/parts", &parts); err != nil {
		return err
	}
	settings, err := c.settings()
	if err != nil {
		return err
	}
	printParts(parts, outerPids(c.process("init").Pid))
	if !c.process("keeper").alive() {
		fmt.Println("the keeper is gone: wbnode up starts another")
	}
	client, err := newAPI(fmt.Sprintf("https://127.0.0.1:%d", settings.Port), c.Path("pki"))
	if err != nil {
		return err
	}
	if err := client.nodeReady(c.nodeName(), time.Time{}); err != nil {
		return err
	}
	fmt.Printf("\nnode %s is Ready at https://127.0.0.1:%d\nKUBECONFIG=%s\n", c.nodeName(), settings.Port, c.Path(outsideConfig))
	return nil
}

func printParts(parts []PartStatus, pids map[int]int) {
	fmt.Printf("%-24s %8s  %-8s %9s %9s  %s\n", "PART", "PID", "STATE", "FOR", "RESTARTS", "WAITS FOR")
	for _, p := range parts {
		state := "stopped"
		if p.Running {
			state = "running"
		} else if p.Waiting != "" {
			state = "waiting"
		}
		fmt.Printf("%-24s %8d  %-8s %9s %9d  %s\n",
			p.Name, pids[p.Pid], state, time.Since(p.Since).Round(time.Second), p.Restarts, p.Waiting)
	}
}

func runPids(args []string) error {
	_, parse := clusterFlags("pids")
	c, err := parse(args)
	if err != nil {
		return err
	}
	var parts []PartStatus
	if err := c.ask("GET", "/parts", &parts); err != nil {
		return err
	}
	for _, role := range []string{"keeper", "init"} {
		if p := c.process(role); p.alive() {
			fmt.Println(role, p.Pid)
		}
	}
	pids := outerPids(c.process("init").Pid)
	for _, p := range parts {
		if p.Running {
			fmt.Println(p.Name, pids[p.Pid])
		}
	}
	return nil
}

func runKill(args []string) error {
	flags, parse := clusterFlags("kill")
	c, err := parse(args)
	if err != nil {
		return err
	}
	switch role := flags.Arg(0); role {
	case "keeper", "init":
		if !c.process(role).alive() {
			return c.absent()
		}
		return c.process(role).kill(stopTimeout)
	default:
		return c.ask("POST", "/kill/"+role, nil)
	}
}

func runPath(args []string) error {
	flags, parse := clusterFlags("path")
	c, err := parse(args)
	if err != nil {
		return err
	}
	switch what := flags.Arg(0); what {
	case "audit":
		return c.printPath(c.Path(auditLog))
	case "state":
		return c.printPath(c.Dir)
	case "node", "helm3", "helm4", "kubectl":
		path, err := artefactPath(what)
		if err != nil {
			return err
		}
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s is not built yet: wbnode build", filepath.Base(path))
		}
		fmt.Println(path)
		return nil
	}
	return fmt.Errorf("path %q: want audit, state, node, kubectl, helm3 or helm4", flags.Arg(0))
}

func (c *Cluster) printPath(path string) error {
	if _, err := os.Stat(path); err != nil {
		return c.absent()
	}
	fmt.Println(path)
	return nil
}
