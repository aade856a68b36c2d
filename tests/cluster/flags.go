package main

// Every request is logged once, when it is answered; a watch twice, when it begins and when it ends.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

func (p *plane) apiServerFlags() []string {
	return append([]string{
		"--etcd-servers=http://127.0.0.1:" + p.etcd.String(),
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=" + p.secure.String(),
		// No address of this machine may be published as the endpoint of the Service `kubernetes`: loopback is refused.
		"--endpoint-reconciler-type=none",
		"--tls-cert-file=" + p.path("apiserver.crt"), "--tls-private-key-file=" + p.path("apiserver.key"),
		"--cert-dir=" + p.path("certs"),
		"--token-auth-file=" + p.path("tokens.csv"), "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + p.path("service-account.pub"),
		"--service-account-signing-key-file=" + p.path("service-account.key"),
		"--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true", "--profiling=false",
		"--audit-policy-file=" + p.path("audit-policy.yaml"), "--audit-log-path=" + p.path("audit.log"), "--audit-log-maxsize=2000",
	}, p.apiServerArgs...)
}

func (p *plane) controllerManagerFlags() []string {
	kubeconfig := p.path("kube-controller-manager.kubeconfig")
	return []string{
		"--kubeconfig=" + kubeconfig, "--secure-port=0", "--leader-elect=false",
		// Each controller has the rights of its own service account: the user itself may do next to nothing.
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + p.path("service-account.key"), "--root-ca-file=" + p.path("ca.crt"),
		"--kube-api-qps=500", "--kube-api-burst=1000",
	}
}

func (p *plane) schedulerFlags() []string {
	kubeconfig := p.path("kube-scheduler.kubeconfig")
	return []string{"--kubeconfig=" + kubeconfig, "--secure-port=0", "--leader-elect=false"}
}

func (p *plane) kwokFlags() []string {
	return []string{
		"--kubeconfig=" + p.path("kwok.kubeconfig"), "--config=" + p.path("stages.yaml"),
		"--manage-all-nodes", "--node-ip=127.0.0.1",
		// Without leases the nodes are taken for dead after 50 seconds.
		"--node-lease-duration-seconds=40",
	}
}
