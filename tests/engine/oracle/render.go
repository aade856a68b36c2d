package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"helm.sh/helm/v4/pkg/action"
	ci "helm.sh/helm/v4/pkg/chart"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	release "helm.sh/helm/v4/pkg/release/v1"
)

// patience is how long one render may take; what takes longer is left out.
const patience = 5 * time.Second

// goVersion is what Helm's own build says of its Go.
const goVersion = "go1.27.2"

// request is what `helm template` is asked for.
type request struct {
	files       map[string]string
	values      map[string]any
	upgrade     bool
	noHooks     bool
	skipSchema  bool
	apiVersions []string
	kubeVersion string
}

// rendered is what it answers: the printed text and the notes, or an error.
type rendered struct {
	text, notes string
	err         error
}

// render runs a request in process as `helm template rel CHART --namespace ns` does. ok is false when it took too long.
func (q request) render() (out rendered, ok bool) {
	done := make(chan rendered, 1)
	go func() {
		defer func() {
			if problem := recover(); problem != nil {
				done <- rendered{err: fmt.Errorf("PANIC %v", problem)}
			}
		}()
		out := q.run()
		out.text = strings.ReplaceAll(out.text, runtime.Version(), goVersion)
		if out.err != nil {
			out.err = errors.New(strings.ReplaceAll(out.err.Error(), runtime.Version(), goVersion))
		}
		done <- out
	}()
	select {
	case out := <-done:
		return out, true
	case <-time.After(patience):
		return rendered{}, false
	}
}

func (q request) load() (*chart.Chart, error) {
	var files []*archive.BufferedFile
	for _, name := range slices.Sorted(maps.Keys(q.files)) {
		files = append(files, &archive.BufferedFile{Name: name, Data: []byte(q.files[name])})
	}
	return loader.LoadFiles(files)
}

func (q request) run() rendered {
	loaded, err := q.load()
	if err != nil {
		return rendered{err: err}
	}
	install := action.NewInstall(action.NewConfiguration())
	install.DryRunStrategy = action.DryRunClient
	install.Replace = true
	install.ReleaseName, install.Namespace = "rel", "ns"
	install.IsUpgrade, install.DisableHooks, install.SkipSchemaValidation = q.upgrade, q.noHooks, q.skipSchema
	install.APIVersions = common.VersionSet(q.apiVersions)
	if q.kubeVersion != "" {
		version, err := common.ParseKubeVersion(q.kubeVersion)
		if err != nil {
			return rendered{err: fmt.Errorf("invalid kube version '%s': %w", q.kubeVersion, err)}
		}
		install.KubeVersion = version
	}
	values := map[string]any{}
	if q.values != nil {
		values = copied(q.values).(map[string]any)
	}
	if loaded.Metadata.Type == "library" {
		return rendered{err: fmt.Errorf("library charts are not installable")}
	}
	if err := checkDependencies(loaded); err != nil {
		return rendered{err: fmt.Errorf("an error occurred while checking for chart dependencies. You may need to run 'helm dependency build' to fetch missing dependencies: %w", err)}
	}
	installed, err := install.Run(loaded, values)
	if err != nil {
		return rendered{err: err}
	}
	made := installed.(*release.Release)
	var text strings.Builder
	fmt.Fprintln(&text, strings.TrimSpace(made.Manifest))
	if !q.noHooks {
		for _, hook := range made.Hooks {
			fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", filepath.ToSlash(hook.Path), hook.Manifest)
		}
	}
	return rendered{text: text.String(), notes: made.Info.Notes}
}

// checkDependencies is what `helm template` does before it renders.
func checkDependencies(loaded *chart.Chart) error {
	accessor, err := ci.NewAccessor(loaded)
	if err != nil {
		return err
	}
	if wanted := accessor.MetaDependencies(); len(wanted) > 0 {
		return action.CheckDependencies(loaded, wanted)
	}
	return nil
}

// vectorChart reads the chart that snippets are put into, without what its .helmignore leaves out.
func vectorChart() map[string]string {
	files := map[string]string{}
	root := "../vector_chart"
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if strings.HasPrefix(name, "ignored/") || name == "files/x.bak" {
			return nil
		}
		data, err := os.ReadFile(path)
		files[name] = string(data)
		return err
	})
	if err != nil {
		fail(err)
	}
	return files
}

var chartOfSnippets = sync.OnceValue(vectorChart)

// snippetRow asks Helm about a snippet, twice, since what is not the same each time says nothing.
func snippetRow() row {
	tpl := newSnippet()
	q := request{files: map[string]string{}}
	for name, data := range chartOfSnippets() {
		q.files[name] = data
	}
	q.files["templates/_x.tpl"] = tpl
	now := time.Now().UTC().Truncate(time.Second)
	first, ok := q.render()
	if !ok {
		return row{"tpl": tpl, "unstable": "slow"}
	}
	second, ok := q.render()
	if !ok || first.text != second.text || fmt.Sprint(first.err) != fmt.Sprint(second.err) {
		return row{"tpl": tpl, "unstable": "differs"}
	}
	out := row{"tpl": tpl, "now": now.Format(time.RFC3339)}
	if first.err != nil {
		out["err"] = strings.ToValidUTF8(first.err.Error(), "\uFFFD")
		return out
	}
	text := first.text[strings.Index(first.text, "o:")+2:]
	data, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace([]byte(text))))
	data = bytes.ReplaceAll(data, []byte(runtime.Version()), []byte(goVersion))
	switch {
	case err != nil:
		return row{"tpl": tpl, "unstable": "not base64"}
	case utf8.Valid(data):
		out["out"] = string(data)
	default:
		out["out_b64"] = base64.StdEncoding.EncodeToString(data)
	}
	return out
}
