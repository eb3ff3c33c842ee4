// Command testpod is what the tests of the node run in their pods.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 3 {
		fail("usage: testpod serve ADDRESS | get URL | lookup NAME | print FILE")
	}
	switch argument := os.Args[2]; os.Args[1] {
	case "serve":
		serve(argument)
	case "get":
		client := http.Client{Timeout: 5 * time.Second}
		response, err := client.Get(argument)
		if err != nil {
			fail(err)
		}
		_, _ = io.Copy(os.Stdout, response.Body)
	case "lookup":
		addresses, err := net.LookupHost(argument)
		if err != nil {
			fail(err)
		}
		fmt.Println(addresses)
	case "print":
		data, err := os.ReadFile(argument)
		if err != nil {
			fail(err)
		}
		fmt.Print(string(data))
	}
}

// serve answers with the pod's name until it is asked to stop.
func serve(address string) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		fmt.Println("stopping")
		os.Exit(0)
	}()
	name, _ := os.Hostname()
	fmt.Println("serving on", address)
	fail(http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "hello from", name)
	})))
}

func fail(reason any) {
	fmt.Fprintln(os.Stderr, reason)
	os.Exit(1)
}
