// Command oracle asks Helm's own packages and writes what they answer, one JSON row a line, for the tests of the engine's rooms:
//
//	go run . strvals 2000 1 > ../strvals.jsonl
//
// The last argument is the seed.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/ignore"
	"helm.sh/helm/v4/pkg/strvals"
)

type row map[string]any

var r *rand.Rand

func pick[T any](items ...T) T { return items[r.Intn(len(items))] }

func main() {
	log.SetOutput(io.Discard)
	slog.SetDefault(slog.New(slog.DiscardHandler))
	rooms := map[string]func() row{
		"strvals": setLine, "semver": constraint, "values": coalesced, "ignore": ignored,
		"snippets": snippetRow, "charts": chartRow,
	}
	if len(os.Args) != 4 || rooms[os.Args[1]] == nil {
		fail(fmt.Errorf("usage: oracle strvals|semver|values|ignore|snippets|charts COUNT SEED"))
	}
	count, err := strconv.Atoi(os.Args[2])
	fail(err)
	seed, err := strconv.ParseInt(os.Args[3], 10, 64)
	fail(err)
	room, out := rooms[os.Args[1]], json.NewEncoder(os.Stdout)
	switch os.Args[1] {
	case "snippets", "charts":
		if os.Getenv(worker) == "" {
			fail(watched(os.Args[1], count, seed, out))
			return
		}
		for at := range int64(count) {
			r = rand.New(rand.NewSource(seed + at))
			made := room()
			made["seed"] = seed + at
			fail(out.Encode(made))
		}
	default:
		r = rand.New(rand.NewSource(seed))
		for range count {
			fail(out.Encode(room()))
		}
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}

// copied makes a value that shares nothing with another one.
func copied(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		fail(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		fail(err)
	}
	return out
}

func setLine() row {
	mode := pick("set", "set", "set", "set-string", "set-json", "set-literal")
	var line strings.Builder
	for range 1 + r.Intn(9) {
		line.WriteString(pick("a", "b", "c", "list", "map", "x y", "é", "=", "=", "=", ".", ".", "[0]", "[1]", "[2]", "[-1]", "[x]", "[", "]", ",", ",", "{", "}", "\\", "\\,", "\\.",
			"1", "0", "01", "-5", "1.5", "true", "null", "False", "\"q\"", "{\"k\":1}", "[1,2]", " ", "a=1", "a.b=2", "list[3].k=v", "map.k={p,q}"))
	}
	dest := map[string]any{"a": "text", "list": []any{"p", map[string]any{"k": 1.0}, nil}, "map": map[string]any{"k": true}, "n": nil}
	got := copied(dest).(map[string]any)
	var err error
	switch mode {
	case "set":
		err = strvals.ParseInto(line.String(), got)
	case "set-string":
		err = strvals.ParseIntoString(line.String(), got)
	case "set-json":
		err = strvals.ParseJSON(line.String(), got)
	default:
		err = strvals.ParseLiteralInto(line.String(), got)
	}
	out := row{"mode": mode, "line": line.String(), "dest": dest}
	if err != nil {
		out["err"] = err.Error()
	} else {
		out["out"] = got
	}
	return out
}

func number() string { return pick("0", "1", "2", "3", "10", "01", "11") }

func version() string {
	v := pick("", "", "v") + number()
	for range r.Intn(3) {
		v += "." + number()
	}
	return v + pick("", "", "", "-0", "-rc.1", "-alpha", "-beta.2.x", "-01", "+build", "-rc.1+b.2", ".4", "-")
}

func constraint() row {
	var c strings.Builder
	for i := range 1 + r.Intn(3) {
		if i > 0 {
			c.WriteString(pick(" ", ",", ", ", " || ", "||", " - ", " , "))
		}
		c.WriteString(pick("", "", "=", "!=", ">", "<", ">=", "=>", "<=", "=<", "~", "~>", "^", "^ ", "> ", "==") + pick(version(), version(), version(), "*", "x", "1.x", "1.2.X", "1.*", "v2.x", ""))
	}
	v := version()
	out := row{"constraint": c.String(), "version": v}
	parsed, err := semver.NewConstraint(c.String())
	if err != nil {
		out["err"] = err.Error()
		return out
	}
	found, err := semver.NewVersion(v)
	if err != nil {
		out["version_err"] = err.Error()
		return out
	}
	out["ok"] = parsed.Check(found)
	return out
}

func tree(depth int) any {
	if depth == 0 || r.Intn(3) == 0 {
		return pick[any](nil, "s", 1.0, 2.5, true, false, []any{"l"}, "", []any{map[string]any{"k": nil}})
	}
	m := map[string]any{}
	for range r.Intn(4) {
		m[pick("k", "l", "m", "enabled")] = tree(depth - 1)
	}
	return m
}

func table(depth int, names ...string) map[string]any {
	m := map[string]any{}
	for range r.Intn(5) {
		m[pick("k", "l", "m")] = tree(depth)
	}
	for _, name := range append(names, "global") {
		if r.Intn(2) == 0 {
			if sub, ok := tree(depth).(map[string]any); ok {
				m[name] = sub
			}
		}
	}
	if r.Intn(4) == 0 {
		m["tags"] = map[string]any{"front": pick[any](true, false, "x"), "back": pick[any](true, false)}
	}
	return m
}

// described is a chart as the row tells it.
type described struct {
	Name         string              `json:"name"`
	Version      string              `json:"version"`
	Values       map[string]any      `json:"values"`
	Dependencies []*chart.Dependency `json:"dependencies"`
	Charts       []*described        `json:"charts"`
}

func describe(name string, depth int) *described {
	d := &described{Name: name, Version: pick("1.0.0", "1.2.0", "2.0.0")}
	if depth > 0 {
		for _, child := range []string{"a", "b"}[:r.Intn(3)] {
			d.Charts = append(d.Charts, describe(child, depth-1))
			if r.Intn(5) > 0 {
				dep := &chart.Dependency{Name: child, Version: pick("*", ">=1.0.0", "^1.0.0", "1.x")}
				if r.Intn(3) == 0 {
					dep.Alias = "alias-" + child
				}
				if r.Intn(3) == 0 {
					dep.Condition = pick("k", "k.enabled", child+".enabled", "global.enabled", "l,m.enabled")
				}
				if r.Intn(4) == 0 {
					dep.Tags = pick([]string{"front"}, []string{"back"}, []string{"front", "back"})
				}
				if r.Intn(3) == 0 {
					dep.ImportValues = pick([]any{"k"}, []any{map[string]any{"child": "k", "parent": "m"}}, []any{map[string]any{"child": "m", "parent": "."}, "l"})
				}
				d.Dependencies = append(d.Dependencies, dep)
			}
		}
	}
	names := []string{"exports"}
	for _, child := range d.Charts {
		names = append(names, child.Name, "alias-"+child.Name)
	}
	d.Values = table(3, names...)
	return d
}

func (d *described) chart() *chart.Chart {
	c := &chart.Chart{Metadata: &chart.Metadata{APIVersion: "v2", Name: d.Name, Version: d.Version}, Values: copied(d.Values).(map[string]any)}
	for _, dep := range d.Dependencies {
		fresh := *dep
		c.Metadata.Dependencies = append(c.Metadata.Dependencies, &fresh)
	}
	for _, child := range d.Charts {
		c.AddDependency(child.chart())
	}
	return c
}

func coalesced() row {
	d := describe("root", 2)
	user := table(3, "a", "b", "alias-a")
	out := row{"chart": d, "user": user}
	c := d.chart()
	values := copied(user).(map[string]any)
	if err := chartutil.ProcessDependencies(c, values); err != nil {
		out["err"] = err.Error()
		return out
	}
	got, err := util.CoalesceValues(c, values)
	if err != nil {
		out["err"] = err.Error()
		return out
	}
	out["out"] = got
	return out
}

type info struct {
	name string
	dir  bool
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return 0 }
func (i info) Mode() os.FileMode  { return 0o644 }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.dir }
func (i info) Sys() any           { return nil }

func ignored() row {
	var rules []string
	for range 1 + r.Intn(3) {
		var rule strings.Builder
		rule.WriteString(pick("", "", "", "!", "/", "#", " "))
		for range 1 + r.Intn(4) {
			rule.WriteString(pick("a", "b", "docs", ".txt", "*", "?", "/", "[a-c]", "[^a]", "[", "\\*", "**", ".", "templates/"))
		}
		rule.WriteString(pick("", "", "/", " "))
		rules = append(rules, rule.String())
	}
	path := pick("a", "b", "docs", "a.txt", "docs/a.txt", "templates/.x", "templates/a", "a/b/c.txt", "ab", ".")
	dir := r.Intn(3) == 0
	out := row{"rules": strings.Join(rules, "\n"), "path": path, "dir": dir}
	parsed, err := ignore.Parse(strings.NewReader(out["rules"].(string)))
	if err != nil {
		out["err"] = fmt.Sprint(err)
		return out
	}
	parsed.AddDefaults()
	out["ignored"] = parsed.Ignore(path, info{filepath.Base(path), dir})
	return out
}
