package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

const (
	volumeCount = 32
	volumeSize  = "5Gi" // a promise nobody measures: all share the machine's disk
	volumesDir  = "/var/lib/waybill/volumes"
	volumesPath = "/api/v1/persistentvolumes"
)

// storageClass has no provisioner: its volumes are made beforehand. It is the default one.
var storageClass = object{"/apis/storage.k8s.io/v1/storageclasses/local", `apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: local, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
reclaimPolicy: Retain
`}

func volume(name, node string) object {
	return object{volumesPath + "/" + name, fmt.Sprintf(`apiVersion: v1
kind: PersistentVolume
metadata: {name: %[1]s, labels: {waybill.dev/local-node: "true"}}
spec:
  storageClassName: local
  capacity: {storage: %[2]s}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  local: {path: %[3]s}
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [%[4]s]}]
`, name, volumeSize, filepath.Join(volumesDir, name), node)}
}

// keepObjects applies what the cluster must have and then keeps the volumes usable: one
// whose claim is gone is emptied and offered again, which nobody else does for `local`.
func keepObjects(c *Cluster, log io.Writer) {
	ready := apiserverReady()
	for ready() != nil {
		time.Sleep(50 * time.Millisecond)
	}
	client, err := newAPI(apiServerInside, inside("pki"))
	if err != nil {
		say(log, "objects: %v", err)
		return
	}
	for _, o := range append([]object{storageClass}, dnsObjects...) {
		for err := client.apply(o); err != nil; err = client.apply(o) {
			say(log, "objects: %v", err)
			time.Sleep(200 * time.Millisecond)
		}
	}
	for ; ; time.Sleep(3 * time.Second) {
		if err := offerVolumes(client, c.nodeName()); err != nil {
			say(log, "volumes: %v", err)
		}
	}
}

func offerVolumes(client *api, node string) error {
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Status   struct{ Phase string }
		}
	}
	if err := client.get(volumesPath+"?labelSelector=waybill.dev/local-node", &list); err != nil {
		return err
	}
	phases := map[string]string{}
	for _, item := range list.Items {
		phases[item.Metadata.Name] = item.Status.Phase
	}
	for i := 1; i <= volumeCount; i++ {
		name := fmt.Sprintf("local-%02d", i)
		phase, exists := phases[name]
		if exists && phase != "Released" {
			continue
		}
		if err := offerVolume(client, name, node, exists); err != nil {
			return err
		}
	}
	return nil
}

func offerVolume(client *api, name, node string, released bool) error {
	dir := filepath.Join(volumesDir, name)
	if released {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if err := client.call("DELETE", volumesPath+"/"+name, "application/json", "", nil); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return client.apply(volume(name, node))
}
