// Command control-plane is a Kubernetes control plane in one file, for tests: etcd, kube-apiserver,
// kube-controller-manager and kube-scheduler as released, and KWOK as the kubelets of nodes that do not exist.
//
// "control-plane up" starts one process of itself for each and looks after them; see up.go.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

const usage = `usage: control-plane up --dir DIR [--stay] [--remove] [--apiserver-arg FLAG]...
       control-plane etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kwok FLAGS...`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	name, args := os.Args[1], os.Args[2:]
	// The components read their flags from the program's arguments.
	os.Args = append([]string{name}, args...)
	switch name {
	case "up":
		exitWith(up(args))
	case "etcd":
		exitWith(etcd(args))
	case "kwok":
		exitWith(kwok())
	case "kube-apiserver":
		runComponent(apiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		runComponent(controllermanager.NewControllerManagerCommand())
	case "kube-scheduler":
		runComponent(scheduler.NewSchedulerCommand())
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
}

func runComponent(command *cobra.Command) {
	os.Exit(cli.Run(command))
}

func exitWith(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "control-plane:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
