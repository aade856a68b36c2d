// Command process runs programs and writes what each took, one JSON row a line of standard input, which is a JSON list of
// arguments. It is small, since a child's peak memory starts with that of its parent:
//
//	process FOLDER ROUNDS < COMMANDS
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// spent is the smallest wall and CPU time in nanoseconds, and the largest resident memory in KiB.
type spent struct {
	Wall int64 `json:"wall"`
	CPU  int64 `json:"cpu"`
	Peak int64 `json:"peak"`
}

func main() {
	var rounds int
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: process FOLDER ROUNDS"))
	}
	_, err := fmt.Sscan(os.Args[2], &rounds)
	fail(err)
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var command []string
		if err := in.Decode(&command); err == io.EOF {
			return
		} else if err != nil {
			fail(err)
		}
		best := run(command)
		for range rounds - 1 {
			next := run(command)
			best = spent{min(best.Wall, next.Wall), min(best.CPU, next.CPU), max(best.Peak, next.Peak)}
		}
		fail(out.Encode(best))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "process:", err)
		os.Exit(1)
	}
}

func run(command []string) spent {
	child := exec.Command(command[0], command[1:]...)
	child.Dir = os.Args[1]
	child.Env = []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent", "KUBECONFIG=/dev/null", "HELM_NO_PLUGINS=1", "TZ=UTC"}
	start := time.Now()
	if err := child.Run(); err != nil {
		fail(fmt.Errorf("%q: %w", command, err))
	}
	wall := time.Since(start)
	state := child.ProcessState
	usage := state.SysUsage().(*syscall.Rusage)
	return spent{wall.Nanoseconds(), (state.UserTime() + state.SystemTime()).Nanoseconds(), usage.Maxrss}
}
