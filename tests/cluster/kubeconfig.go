package main

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

const (
	apiServerInside = "https://" + nodeIP + ":6443"
	insideConfig    = "kubeconfig-inside"
	outsideConfig   = "kubeconfig"
)

// createKubeconfigs writes the user's two (outside by the loopback port, inside by the
// node's address) and one for each part that talks to the API server.
func (c *Cluster) createKubeconfigs(port int) error {
	for _, part := range []string{"controller-manager", "scheduler", "proxy", "kubelet", "coredns"} {
		if err := c.writeKubeconfig(c.Path("conf", part+".kubeconfig"), part, apiServerInside); err != nil {
			return err
		}
	}
	outside := fmt.Sprintf("https://127.0.0.1:%d", port)
	for file, server := range map[string]string{insideConfig: apiServerInside, outsideConfig: outside} {
		if err := c.writeKubeconfig(c.Path(file), "admin", server); err != nil {
			return err
		}
		if err := giveToCaller(c.Path(file)); err != nil {
			return err
		}
	}
	return nil
}

// giveToCaller: who ran `sudo wbnode up` uses kubectl without sudo.
func giveToCaller(path string) error {
	uid, err1 := strconv.Atoi(os.Getenv("SUDO_UID"))
	gid, err2 := strconv.Atoi(os.Getenv("SUDO_GID"))
	if err1 != nil || err2 != nil {
		return nil
	}
	return os.Chown(path, uid, gid)
}

func (c *Cluster) writeKubeconfig(path, identity, server string) error {
	ca, err1 := c.base64File("ca.crt")
	certificate, err2 := c.base64File(identity + ".crt")
	key, err3 := c.base64File(identity + ".key")
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return err
		}
	}
	name := "waybill-" + c.Name
	return writeFile(path, []byte(fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: %[1]s
clusters:
- name: %[1]s
  cluster: {server: "%[2]s", certificate-authority-data: %[3]s}
users:
- name: %[1]s
  user: {client-certificate-data: %[4]s, client-key-data: %[5]s}
contexts:
- name: %[1]s
  context: {cluster: %[1]s, user: %[1]s}
`, name, server, ca, certificate, key)), fs.FileMode(0o600))
}

func (c *Cluster) base64File(name string) (string, error) {
	data, err := os.ReadFile(c.Path("pki", name))
	return base64.StdEncoding.EncodeToString(data), err
}

func runKubeconfig(args []string) error {
	flags, parse := clusterFlags("kubeconfig")
	within := flags.Bool("inside", false, "the one to use inside the cluster's network")
	c, err := parse(args)
	if err != nil {
		return err
	}
	file := outsideConfig
	if *within {
		file = insideConfig
	}
	return c.printPath(c.Path(file))
}
