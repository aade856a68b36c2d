package main

import (
	"bufio"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

//go:embed stages.yaml
var stages []byte

const readyWithin = 2 * time.Minute

var nodes = []string{"fake-0", "fake-1"}

// up starts a control plane and stays with it.
//
// It prints `ready` when pods can be scheduled. From then on each line of standard input is a command for a component
// (`stop`, `start`, `restart`, `pause` or `resume`, and its name), answered by one line, `ok` or `error: ...`; `start` and
// `restart` of kube-apiserver answer when it is ready. The end of standard input is the end of the control plane, so that it
// never outlives whoever started it, however that ends; with --stay only a signal ends it.
//
// DIR holds admin.kubeconfig, bowline.kubeconfig, audit.log, and a log and a pid file of each component.
func up(args []string) error {
	flags := flag.NewFlagSet("up", flag.ExitOnError)
	dir := flags.String("dir", "", "where its files lie; made if it is missing")
	stay := flags.Bool("stay", false, "do not end with standard input")
	remove := flags.Bool("remove", false, "remove DIR at the end")
	var apiServerArgs []string
	flags.Func("apiserver-arg", "one more flag for kube-apiserver; may be repeated", func(value string) error {
		apiServerArgs = append(apiServerArgs, value)
		return nil
	})
	_ = flags.Parse(args)
	if *dir == "" {
		return errors.New("--dir is missing")
	}

	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	commands := make(chan string)
	if !*stay {
		go readCommands(commands)
	}

	plane, err := newPlane(*dir, apiServerArgs)
	if err != nil {
		return err
	}
	if *remove {
		defer os.RemoveAll(plane.dir)
	}
	defer plane.components.killAll()

	begun := time.Now()
	started := make(chan error, 1)
	go func() { started <- plane.start() }()
	for {
		select {
		case err := <-started:
			if err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "control-plane: ready in %.1f s: %s\n", time.Since(begun).Seconds(), plane.path("admin.kubeconfig"))
			fmt.Println("ready")
		case command, open := <-commands:
			if !open {
				return nil
			}
			if err := plane.obey(command); err != nil {
				fmt.Println("error:", err)
			} else {
				fmt.Println("ok")
			}
		case name := <-plane.components.ended:
			return fmt.Errorf("%s ended by itself:\n%s", name, tail(plane.path(name+".log")))
		case <-asked:
			return nil
		}
	}
}

func readCommands(commands chan<- string) {
	defer close(commands)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		commands <- lines.Text()
	}
}

// tail is the last lines of a log.
func tail(path string) string {
	const most = 2000
	text, _ := os.ReadFile(path)
	return string(text[max(0, len(text)-most):])
}

// A plane is one control plane: its files, its ports and its processes.
type plane struct {
	dir           string
	api           *api
	components    *components
	etcd, peer    port
	secure        port
	apiServerArgs []string
}

func newPlane(dir string, apiServerArgs []string) (*plane, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p := &plane{dir: dir, components: newComponents(dir), apiServerArgs: apiServerArgs}
	for _, port := range []*port{&p.etcd, &p.peer, &p.secure} {
		if *port, err = takePort(); err != nil {
			return nil, err
		}
	}
	return p, p.writeFiles()
}

func (p *plane) path(name string) string { return filepath.Join(p.dir, name) }

func (p *plane) writeFiles() error {
	ca, err := writeServingCertificate(p.path("ca.crt"), p.path("apiserver.crt"), p.path("apiserver.key"))
	if err != nil {
		return err
	}
	if err := writeServiceAccountKeys(p.path("service-account.key"), p.path("service-account.pub")); err != nil {
		return err
	}
	users := users()
	if err := writeTokens(p.path("tokens.csv"), users); err != nil {
		return err
	}
	server := fmt.Sprintf("https://127.0.0.1:%s", p.secure)
	for _, u := range users {
		name := strings.TrimPrefix(u.name, "system:") + ".kubeconfig"
		if err := writeKubeconfig(p.path(name), server, ca, u); err != nil {
			return err
		}
		if u.name == "admin" {
			p.api = newAPI(server, ca, u)
		}
	}
	if err := os.WriteFile(p.path("control-plane.pid"), fmt.Append(nil, os.Getpid()), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(p.path("audit-policy.yaml"), []byte(auditPolicy), 0o600); err != nil {
		return err
	}
	return os.WriteFile(p.path("stages.yaml"), stages, 0o600)
}

// start returns when a pod that is created now would be scheduled and run.
func (p *plane) start() error {
	if err := p.components.start("etcd", "--data-dir", p.path("etcd"),
		"--client-url", "http://127.0.0.1:"+p.etcd.String(), "--peer-url", "http://127.0.0.1:"+p.peer.String()); err != nil {
		return err
	}
	if err := p.components.start("kube-apiserver", p.apiServerFlags()...); err != nil {
		return err
	}
	if err := p.apiServerIsReady(); err != nil {
		return err
	}
	if err := p.api.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", bowlineBinding()); err != nil {
		return err
	}
	for _, node := range nodes {
		if err := p.api.create("/api/v1/nodes", fakeNode(node)); err != nil {
			return err
		}
	}
	if err := p.components.start("kube-controller-manager", p.controllerManagerFlags()...); err != nil {
		return err
	}
	if err := p.components.start("kube-scheduler", p.schedulerFlags()...); err != nil {
		return err
	}
	if err := p.components.start("kwok", p.kwokFlags()...); err != nil {
		return err
	}
	return within(readyWithin, "no node became ready", func() bool {
		for _, node := range nodes {
			if !p.api.nodeIsReady(node) {
				return false
			}
		}
		return p.api.get("/api/v1/namespaces/default/serviceaccounts/default", nil) == nil
	})
}

func (p *plane) apiServerIsReady() error {
	return within(readyWithin, "kube-apiserver did not become ready", func() bool { return p.api.get("/readyz", nil) == nil })
}

func within(limit time.Duration, failure string, holds func() bool) error {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(25 * time.Millisecond) {
		if holds() {
			return nil
		}
	}
	return fmt.Errorf("%s within %s", failure, limit)
}

// obey does what a line of standard input asks for.
func (p *plane) obey(line string) error {
	words := strings.Fields(line)
	if len(words) != 2 {
		return fmt.Errorf("not a command and a component: %q", line)
	}
	command, name := words[0], words[1]
	switch command {
	case "stop":
		return p.components.stop(name)
	case "pause":
		return p.components.signal(name, syscall.SIGSTOP)
	case "resume":
		return p.components.signal(name, syscall.SIGCONT)
	case "restart":
		if err := p.components.stop(name); err != nil {
			return err
		}
	case "start":
	default:
		return fmt.Errorf("unknown command %q", command)
	}
	if err := p.components.startAgain(name); err != nil {
		return err
	}
	if name == "kube-apiserver" {
		return p.apiServerIsReady()
	}
	return nil
}
