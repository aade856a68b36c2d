// Command helm-engine measures Helm's own engine in process, over the cases of a pack, and writes one JSON row a case:
//
//	helm-engine CASES FOLDER ROUNDS
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/loader"
	"helm.sh/helm/v4/pkg/cli/values"
	release "helm.sh/helm/v4/pkg/release/v1"
)

type renderCase struct {
	ID        string   `json:"id"`
	Kind      string   `json:"kind"`
	Chart     string   `json:"chart"`
	Values    []string `json:"values"`
	Name      string   `json:"name"`
	Namespace string   `json:"namespace"`
	Flags     []string `json:"flags"`
}

// spent is the time that a step took, in nanoseconds.
type spent struct {
	Wall int64 `json:"wall"`
	CPU  int64 `json:"cpu"`
}

type row struct {
	ID     string `json:"id"`
	Cold   spent  `json:"cold"`
	Warm   spent  `json:"warm"`
	SHA256 string `json:"sha256"`
}

func main() {
	log.SetOutput(io.Discard)
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if len(os.Args) != 4 {
		fail(fmt.Errorf("usage: helm-engine CASES FOLDER ROUNDS"))
	}
	var rounds int
	_, err := fmt.Sscan(os.Args[3], &rounds)
	fail(err)
	cases, err := read(os.Args[1])
	fail(err)
	fail(os.Chdir(os.Args[2]))
	rows := make([]row, len(cases))
	for round := range rounds {
		for i := range cases {
			fail(measure(&cases[i], &rows[i], round == 0))
		}
	}
	out := json.NewEncoder(os.Stdout)
	for _, row := range rows {
		fail(out.Encode(row))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "helm-engine:", err)
		os.Exit(1)
	}
}

func read(path string) ([]renderCase, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var cases []renderCase
	for lines := json.NewDecoder(file); ; {
		var one renderCase
		switch err := lines.Decode(&one); {
		case err == io.EOF:
			return cases, nil
		case err != nil:
			return nil, err
		case one.Kind == "render":
			cases = append(cases, one)
		}
	}
}

func cpu() int64 {
	var usage syscall.Rusage
	fail(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// measure renders a case twice, once with reading it and once read, and keeps the smallest times.
func measure(one *renderCase, into *row, first bool) error {
	keep := func(best *spent, wall time.Time, used int64) {
		got := spent{time.Since(wall).Nanoseconds(), cpu() - used}
		if first {
			*best = got
			return
		}
		best.Wall, best.CPU = min(best.Wall, got.Wall), min(best.CPU, got.CPU)
	}
	wall, used := time.Now(), cpu()
	chart, err := loader.Load(one.Chart)
	if err != nil {
		return err
	}
	merged, err := merge(one)
	if err != nil {
		return err
	}
	text, err := render(one, chart, merged)
	if err != nil {
		return fmt.Errorf("%s: %w", one.ID, err)
	}
	keep(&into.Cold, wall, used)

	// A render changes the chart, so each needs a new one.
	if chart, err = loader.Load(one.Chart); err != nil {
		return err
	}
	if merged, err = merge(one); err != nil {
		return err
	}
	wall, used = time.Now(), cpu()
	if _, err = render(one, chart, merged); err != nil {
		return err
	}
	keep(&into.Warm, wall, used)
	sum := sha256.Sum256([]byte(text))
	into.ID, into.SHA256 = one.ID, hex.EncodeToString(sum[:])
	return nil
}

func merge(one *renderCase) (map[string]any, error) {
	options := values.Options{ValueFiles: one.Values}
	return options.MergeValues(nil)
}

// render does what `helm template` does after the chart and the values are read.
func render(one *renderCase, chart any, merged map[string]any) (string, error) {
	install := action.NewInstall(action.NewConfiguration())
	install.DryRunStrategy = action.DryRunClient
	install.Replace = true
	install.ReleaseName, install.Namespace = one.Name, one.Namespace
	for flags := one.Flags; len(flags) > 0; flags = flags[1:] {
		switch flags[0] {
		case "--is-upgrade":
			install.IsUpgrade = true
		case "--no-hooks":
			install.DisableHooks = true
		case "--include-crds":
			install.IncludeCRDs = true
		case "--kube-version":
			flags = flags[1:]
			version, err := common.ParseKubeVersion(flags[0])
			if err != nil {
				return "", err
			}
			install.KubeVersion = version
		case "--api-versions":
			flags = flags[1:]
			install.APIVersions = append(install.APIVersions, strings.Split(flags[0], ",")...)
		case "--namespace":
			flags = flags[1:]
			install.Namespace = flags[0]
		default:
			return "", fmt.Errorf("flag %s is not known", flags[0])
		}
	}
	installed, err := install.Run(chart, merged)
	if err != nil {
		return "", err
	}
	made := installed.(*release.Release)
	var text strings.Builder
	fmt.Fprintln(&text, strings.TrimSpace(made.Manifest))
	if !install.DisableHooks {
		for _, hook := range made.Hooks {
			fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", filepath.ToSlash(hook.Path), hook.Manifest)
		}
	}
	return text.String(), nil
}
