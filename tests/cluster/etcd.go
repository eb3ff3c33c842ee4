package main

import "net"

const etcdAddress = "127.0.0.1:2379"

// etcd has no TLS: its port is on the loopback of the cluster's own network, where
// only the node's servers are; pods have networks of their own.
func etcd(s Settings) Part {
	args := []string{
		"--name=node",
		"--data-dir=" + inside("etcd"),
		"--listen-client-urls=http://" + etcdAddress,
		"--advertise-client-urls=http://" + etcdAddress,
		"--listen-peer-urls=http://127.0.0.1:2380",
		"--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=node=http://127.0.0.1:2380",
		"--quota-backend-bytes=8589934592",
		"--max-request-bytes=10485760",
		"--log-level=warn",
	}
	if s.UnsafeNoFsync {
		args = append(args, "--unsafe-no-fsync")
	}
	return Part{Name: "etcd", Args: args, Needs: nothing}
}

func etcdListens() error { return dialable("tcp", etcdAddress) }

func dialable(network, address string) error {
	connection, err := net.Dial(network, address)
	if err != nil {
		return err
	}
	return connection.Close()
}
