package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
)

// components are the processes of a control plane, by name.
type components struct {
	dir string
	// ended gives the name of each that ends without having been told to.
	ended chan string

	mutex   sync.Mutex
	flags   map[string][]string
	running map[string]*component
	spawn   chan func()
}

type component struct {
	process *os.Process
	// told is set before it is stopped on purpose.
	told bool
	gone chan struct{}
}

func newComponents(dir string) *components {
	c := &components{
		dir: dir, ended: make(chan string, 8), flags: map[string][]string{}, running: map[string]*component{}, spawn: make(chan func()),
	}
	// The kernel kills a child with Pdeathsig when the *thread* that started it ends, so one thread starts them all and stays.
	go func() {
		runtime.LockOSThread()
		for start := range c.spawn {
			start()
		}
	}()
	return c
}

// start runs this program again as the component. It is killed with this process, however that ends.
func (c *components) start(name string, flags ...string) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.running[name] != nil {
		return fmt.Errorf("%s is running", name)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(c.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(self, append([]string{name}, flags...)...)
	command.Stdout, command.Stderr = log, log
	// A process group of its own, so that an interrupt at the terminal reaches this process alone.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	failed := make(chan error)
	c.spawn <- func() { failed <- command.Start() }
	if err := <-failed; err != nil {
		return err
	}
	started := &component{process: command.Process, gone: make(chan struct{})}
	c.flags[name], c.running[name] = flags, started
	go c.wait(name, command, started)
	return os.WriteFile(filepath.Join(c.dir, name+".pid"), fmt.Append(nil, command.Process.Pid), 0o600)
}

func (c *components) wait(name string, command *exec.Cmd, started *component) {
	_ = command.Wait()
	c.mutex.Lock()
	delete(c.running, name)
	told := started.told
	c.mutex.Unlock()
	close(started.gone)
	if !told {
		c.ended <- name
	}
}

// startAgain starts a component that was stopped, with the flags that it had.
func (c *components) startAgain(name string) error {
	c.mutex.Lock()
	flags, known := c.flags[name]
	c.mutex.Unlock()
	if !known {
		return fmt.Errorf("no component %q", name)
	}
	return c.start(name, flags...)
}

// stop kills a component and returns when it is gone.
func (c *components) stop(name string) error {
	c.mutex.Lock()
	stopped := c.running[name]
	if stopped == nil {
		c.mutex.Unlock()
		return fmt.Errorf("%s is not running", name)
	}
	stopped.told = true
	c.mutex.Unlock()
	if err := stopped.process.Kill(); err != nil {
		return err
	}
	<-stopped.gone
	return nil
}

func (c *components) signal(name string, signal os.Signal) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.running[name] == nil {
		return fmt.Errorf("%s is not running", name)
	}
	return c.running[name].process.Signal(signal)
}

func (c *components) killAll() {
	c.mutex.Lock()
	names := make([]string, 0, len(c.running))
	for name := range c.running {
		names = append(names, name)
	}
	c.mutex.Unlock()
	for _, name := range names {
		_ = c.stop(name)
	}
}
