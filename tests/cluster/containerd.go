package main

import (
	"fmt"
	"os/exec"
)

const (
	containerdSocket = "/run/containerd/containerd.sock"
	pauseImage       = "waybill.local/pause:1"
)

func containerd() Part {
	path, err := exec.LookPath("containerd")
	if err != nil {
		path = "/usr/bin/containerd" // the start then fails, and says so in the log
	}
	return Part{Name: "containerd", Path: path, Args: []string{"--config", conf("containerd.toml")}, Needs: nothing}
}

// containerdConfig: the paths are the usual ones, but lead below the cluster's state
// (mounts.go). restrict_oom_score_adj: without CAP_SYS_RESOURCE every sandbox would fail.
// disable_apparmor: its profiles would be loaded into the machine's kernel, and stay.
func containerdConfig(s Settings) string {
	return fmt.Sprintf(`version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]

[grpc]
  address = %q

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_tcp_service = true

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = %q
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
`, containerdSocket, pauseImage, s.Snapshotter, s.CNIBin, conf("cni"))
}
