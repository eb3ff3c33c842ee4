package main

import "fmt"

func kubelet(c *Cluster) Part {
	api := apiserverReady()
	needs := func() error {
		if err := dialable("unix", containerdSocket); err != nil {
			return err
		}
		return api()
	}
	return Part{Name: "kubelet", Needs: needs, Args: []string{
		"--config=" + conf("kubelet.yaml"),
		"--kubeconfig=" + conf("kubelet.kubeconfig"),
		"--hostname-override=" + c.nodeName(),
		"--node-ip=" + nodeIP,
		"--root-dir=/var/lib/kubelet",
	}}
}

// kubeletConfig, where it is unlike a usual node's:
//   - cgroupRoot: pods are accounted and found below the cluster's own cgroup;
//   - Watch and syncFrequency: a changed Secret reaches its pods in seconds, not a minute;
//   - no image garbage collection and hardly any eviction: the disk is not the node's own;
//   - oomScoreAdj 0: without CAP_SYS_RESOURCE a lower one is refused.
func kubeletConfig(c *Cluster) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %[1]s
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[2]s}
authorization: {mode: Webhook}
tlsCertFile: %[3]s
tlsPrivateKeyFile: %[4]s
readOnlyPort: 0
containerRuntimeEndpoint: unix://%[5]s
cgroupDriver: cgroupfs
cgroupRoot: %[6]s
enforceNodeAllocatable: []
clusterDNS: [%[7]s]
clusterDomain: cluster.local
resolvConf: ""
configMapAndSecretChangeDetectionStrategy: Watch
syncFrequency: 10s
nodeStatusUpdateFrequency: 5s
failSwapOn: false
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 50Mi, nodefs.available: 100Mi, nodefs.inodesFree: "1000", imagefs.available: 100Mi}
serializeImagePulls: false
maxPods: 250
oomScoreAdj: 0
volumePluginDir: /var/lib/kubelet/volume-plugins
`, nodeIP, pki("ca.crt"), pki("kubelet.crt"), pki("kubelet.key"), containerdSocket, c.cgroupRoot(), dnsServiceIP)
}
