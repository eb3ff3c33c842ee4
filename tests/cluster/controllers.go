package main

// controllerManager and scheduler have no leader election: there is one of each, and
// a lease lost while the API server restarts would only make them exit.

func controllerManager() Part {
	config := conf("controller-manager.kubeconfig")
	return Part{Name: "kube-controller-manager", Needs: apiserverReady(), Args: []string{
		"--kubeconfig=" + config,
		"--authentication-kubeconfig=" + config,
		"--authorization-kubeconfig=" + config,
		"--bind-address=127.0.0.1",
		"--leader-elect=false",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + pki("service-accounts.key"),
		"--root-ca-file=" + pki("ca.crt"),
		"--cluster-signing-cert-file=" + pki("ca.crt"),
		"--cluster-signing-key-file=" + pki("ca.key"),
		"--kube-api-qps=200", // thousands of objects are deleted in tests
		"--kube-api-burst=400",
		"--profiling=false",
	}}
}

func scheduler() Part {
	config := conf("scheduler.kubeconfig")
	return Part{Name: "kube-scheduler", Needs: apiserverReady(), Args: []string{
		"--config=" + conf("scheduler.yaml"),
		"--authentication-kubeconfig=" + config,
		"--authorization-kubeconfig=" + config,
		"--bind-address=127.0.0.1",
	}}
}

var schedulerConfig = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: "` + conf("scheduler.kubeconfig") + `"}
leaderElection: {leaderElect: false}
enableProfiling: false
`
