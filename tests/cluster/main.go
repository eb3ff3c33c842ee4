// Command wbnode runs a real single-node Kubernetes cluster without Docker: it
// builds the servers from their Go modules and runs them with containerd in
// namespaces of their own. `wbnode help` lists what it can do; README.md says how.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

// command is one verb of the tool. Hidden ones have no summary.
type command struct {
	name    string
	args    string
	summary string
	run     func(args []string) error
}

func commands() []command {
	return []command{
		{"up", "[--unsafe-no-fsync]", "start the cluster, or whatever of it is not running", runUp},
		{"down", "", "remove every process, mount, cgroup and file of the cluster", runDown},
		{"status", "", "show the parts, their processes and whether the node is ready", runStatus},
		{"logs", "[-f] [PART]", "show the log of a part, or list the logs", runLogs},
		{"kubeconfig", "[--inside]", "print the path of the kubeconfig", runKubeconfig},
		{"load", "IMAGE.tar…", "import images into the node, unless they are there already", runLoad},
		{"image", "--name N --binary B --out TAR", "make a reproducible image from a binary and its libraries", runImage},
		{"run", "-- CMD…", "run a command inside the cluster's network", runInside},
		{"forward", "[--delete] [HOST:PORT]", "reach an address of the cluster at a loopback port outside", runForward},
		{"pids", "", "print PART PID for every process the tool started", runPids},
		{"kill", "PART", "kill -9 a part (for tests; it comes back)", runKill},
		{"path", "audit|state|kubectl|helm3|helm4|node", "print the path of a file", runPath},
		{"build", "[node] [helm3] [helm4]", "build what is not in the cache", runBuild},
		{"packages", "", "print the Debian packages that are missing here", runPackages},
		{"help", "", "show this", runHelp},
		{"keep", "", "", runKeep},
		{"init", "", "", runInit},
	}
}

func main() {
	// Namespaces belong to threads: what enters one must stay on the thread it is on.
	runtime.LockOSThread()
	if len(os.Args) < 2 {
		_ = runHelp(nil)
		os.Exit(2)
	}
	for _, c := range commands() {
		if c.name == os.Args[1] {
			os.Exit(exitCode(c.run(os.Args[2:])))
		}
	}
	fmt.Fprintf(os.Stderr, "wbnode: no command %q; see wbnode help\n", os.Args[1])
	os.Exit(2)
}

// exitCode prints the error, unless a command that was run has said enough itself.
func exitCode(err error) int {
	var exited *exec.ExitError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &exited) && len(exited.Stderr) == 0:
		fmt.Fprintln(os.Stderr, "wbnode:", err)
		return exited.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "wbnode:", err)
	return 1
}

func runHelp([]string) error {
	fmt.Println("usage: wbnode COMMAND [--name CLUSTER] …   (or WAYBILL_CLUSTER; default waybill)")
	fmt.Println()
	for _, c := range commands() {
		if c.summary != "" {
			fmt.Printf("  %-11s %-38s %s\n", c.name, c.args, c.summary)
		}
	}
	return nil
}
