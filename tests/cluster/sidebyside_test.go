package main

import (
	"strings"
	"testing"
)

// Two clusters with the same addresses inside do not see each other, and one goes
// without the other noticing.
func TestTwoClustersLiveSideBySide(t *testing.T) {
	one, two := sharedNode(t), ownNode(t, "second")
	two.must(t, "up", "--unsafe-no-fsync")
	for _, n := range []node{one, two} {
		n.startWeb(t, "beside")
		if got := n.mustKubectl(t, "get", "nodes", "-o", "name"); got != "node/"+n.name+"-node" {
			t.Errorf("cluster %s has nodes %s", n.name, got)
		}
		n.mustKubectl(t, "-n", "beside", "create", "configmap", n.name)
	}
	if got := two.mustKubectl(t, "-n", "beside", "get", "configmaps", "-o", "name"); strings.Contains(got, one.name) {
		t.Errorf("cluster %s has what was made in %s: %s", two.name, one.name, got)
	}
	forward := one.must(t, "forward", "web.beside:80")
	wantHello(t, "the first", forward)
	wantHello(t, "the second", two.must(t, "forward", "web.beside:80"))

	two.must(t, "down")
	wantHello(t, "the first, alone", forward)
	if err := one.works(); err != nil {
		t.Error(err)
	}
}
