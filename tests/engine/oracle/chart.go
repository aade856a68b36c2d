package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// chartRow asks Helm about a small chart with all that belongs to it, twice, as snippetRow does.
func chartRow() row {
	q := request{files: map[string]string{}}
	writeChart(q.files, "", pick("app", "app", "app", "c1"), 2)
	q.values = overrides(q.files)
	q.upgrade, q.noHooks, q.skipSchema = r.Intn(6) == 0, r.Intn(8) == 0, r.Intn(10) == 0
	if r.Intn(6) == 0 {
		q.kubeVersion = pick("1.27.3", "v1.30.0-gke.1", "1.19", "v1.33.1+k3s1", "v1.31.0", "1.36.0", "1.28")
	}
	if r.Intn(6) == 0 {
		q.apiVersions = pick([]string{"x.io/v1"}, []string{"x.io/v1", "batch/v1beta1/CronJob"}, []string{""})
	}
	out := row{"files": q.files, "values": q.values}
	for name, set := range map[string]bool{"upgrade": q.upgrade, "noHooks": q.noHooks, "skipSchema": q.skipSchema} {
		if set {
			out[name] = true
		}
	}
	if q.kubeVersion != "" {
		out["kubeVersion"] = q.kubeVersion
	}
	if q.apiVersions != nil {
		out["apiVersions"] = q.apiVersions
	}
	out["now"] = time.Now().UTC().Truncate(time.Second).Format(time.RFC3339)
	first, ok := q.render()
	if !ok {
		return row{"unstable": "slow"}
	}
	for range 3 {
		again, ok := q.render()
		if !ok || first.text != again.text || first.notes != again.notes || fmt.Sprint(first.err) != fmt.Sprint(again.err) {
			return row{"unstable": "differs"}
		}
	}
	if first.err != nil {
		out["err"] = strings.ToValidUTF8(first.err.Error(), "\uFFFD")
		return out
	}
	out["out"] = first.text
	if first.notes != "" {
		out["notes"] = first.notes
	}
	return out
}

// childNames are what sub charts may be called, and so keys of values that matter.
var childNames = []string{"c1", "c2", "lib"}

// writeChart lays a chart and its sub charts out under a folder.
func writeChart(files map[string]string, folder, name string, depth int) {
	version := pick("1.0.0", "1.2.3", "0.1.0", "2.0.0-rc.1", "1.0.0+b")
	var meta strings.Builder
	apiVersion := pick("v2", "v2", "v2", "v2", "v1")
	fmt.Fprintf(&meta, "apiVersion: %s\nname: %s\nversion: %s\n", apiVersion, name, version)
	library := name == "lib"
	if library {
		meta.WriteString("type: library\n")
	}
	meta.WriteString(metadata())
	var wanted []string
	if depth > 0 {
		for _, child := range childNames[:r.Intn(4)] {
			if r.Intn(4) == 0 {
				continue
			}
			writeChart(files, folder+"charts/"+child+"/", child, depth-1)
			for range pick(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 0) {
				wanted = append(wanted, dependency(child))
			}
		}
		if r.Intn(40) == 0 {
			wanted = append(wanted, "- name: absent\n  version: \"*\"\n")
		}
	}
	if len(wanted) > 0 {
		text := "dependencies:\n" + strings.Join(wanted, "")
		if apiVersion == "v1" {
			files[folder+"requirements.yaml"] = text
		} else {
			meta.WriteString(text)
		}
	}
	text := meta.String()
	if r.Intn(60) == 0 {
		text = damagedYAML(text)
	}
	files[folder+"Chart.yaml"] = text
	if r.Intn(10) > 0 {
		files[folder+"values.yaml"] = valuesFile()
	}
	if r.Intn(16) == 0 {
		files[folder+"values.schema.json"] = schemaFile()
	}
	writeTemplates(files, folder, library)
	if r.Intn(4) == 0 {
		files[folder+pick("config/a.txt", "files/b.yaml", "README.md", "crds/x.yaml", "LICENSE", "files/.hidden")] = pick("text\n", "a: 1\n", "", "l1\nl2", "{{ .Values.k }}\n", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x}\n")
	}
}

// metadata writes the fields of Chart.yaml that a chart can do without.
func metadata() string {
	var out strings.Builder
	if r.Intn(12) > 0 {
		if r.Intn(2) == 0 {
			return ""
		}
		return pick("appVersion: \"1.0\"\n", "appVersion: 1.10\n", "appVersion: v2\n", "appVersion: 1e10\n", "appVersion: 0x1F\n", "appVersion: 2024-01-01\n", "appVersion: 010\n", "description: \"a: b\"\n", "kubeVersion: \">=1.19.0-0\"\n", "keywords: [a, b]\n", "annotations: {a: b}\n", "appVersion: 1_000\n", "appVersion: 1.5e-7\n", "deprecated: true\n", "maintainers: [{name: n, email: e}]\n")
	}
	for _, line := range []string{
		pick("appVersion: \"1.0\"", "appVersion: 1.10", "appVersion: 1e10", "appVersion: 0x1F", "appVersion: v2", "appVersion: 2024-01-01", "appVersion: true", "appVersion: null", "appVersion: 010", "appVersion: 1_000", "appVersion: 12345678901234567890", "appVersion: -0.0", "appVersion: .inf", "appVersion: 1.0e3", "appVersion: [1]", "appVersion: 100000000000000000000000", "appVersion: 1.5e-7"),
		pick("description: text", "description: \"a: b\"", "description: |\n  two\n  lines", "description: 5", "description: \"tab\\there\""),
		pick("kubeVersion: \">=1.20.0-0\"", "kubeVersion: \">=1.20\"", "kubeVersion: \">=1.99\"", "kubeVersion: \"bad\"", "kubeVersion: 1.37", "kubeVersion: \"\"", "kubeVersion: \"^1.30.0-0\""),
		pick("type: application", "type: \"\"", "type: other", "type: null"),
		pick("deprecated: true", "deprecated: false", "deprecated: \"yes\"", "deprecated: yes"),
		pick("home: https://example.com", "icon: x.png", "home: null"),
		pick("keywords: [a, b]", "keywords: a", "keywords: [1, true]"),
		pick("sources: [u]", "sources:\n- a\n- b"),
		pick("maintainers: [{name: n, email: e}]", "maintainers: [n]", "maintainers: [null]", "maintainers:\n- name: \"x\\ny\""),
		pick("annotations: {a: b}", "annotations: {a: 1}", "annotations: {a: \"1\", b.c/d: \"x\"}", "annotations: {a: true}", "annotations: null"),
		pick("unknown: 1", "Name: x", "condition: a", "tags: t", "engine: gotpl", "tillerVersion: x"),
	} {
		if r.Intn(9) == 0 {
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}

func dependency(child string) string {
	out := "- name: " + child + "\n"
	if r.Intn(10) > 0 {
		out += "  version: " + pick("\"*\"", "\">=0.0.0-0\"", "1.x", "\"^1.0.0\"", "1.0.0", "\"\"", "0.1.0", "\"1.0.0 - 2.0.0\"", "\"x\"", "1") + "\n"
	}
	if r.Intn(4) == 0 {
		out += "  alias: " + pick("a1", "a2", "al-ias", "a3", "a4", "a5", "a6", "a7", "a8", "c9", "a9", pick("a1", "bad alias", "c2")) + "\n"
	}
	if r.Intn(3) == 0 {
		out += "  condition: " + pick("k", child+".enabled", "global.enabled", "m.k,"+child+".enabled", "a1.enabled", "\" "+child+".enabled\"", "enabled", "c1.c2.enabled", "\"\"") + "\n"
	}
	if r.Intn(3) == 0 {
		out += "  tags: " + pick("[front]", "[back]", "[front, back]", "[none]", "[]", "[front]", "[back]", pick("[front]", "[back]", "[front]", "front")) + "\n"
	}
	if r.Intn(3) == 0 {
		out += "  import-values: " + pick("[k]", "[m]", "[{child: m, parent: n}]", "[{child: exports.m, parent: imported}]", "[{child: ., parent: all}]", "[data, {child: k, parent: l}]", "[{child: m, parent: .}]", "[none]", "[m.k]") + "\n"
	}
	if r.Intn(12) == 0 {
		out += "  repository: " + pick("https://example.com/charts", "file://../"+child, "\"@repo\"", "oci://example.com/x") + "\n"
	}
	if r.Intn(20) == 0 {
		out += "  enabled: " + pick("true", "false") + "\n"
	}
	return out
}

// leafValue is a value in YAML, as charts write them.
func leafValue() string {
	if r.Intn(300) == 0 {
		return pick("-", "@x", "<<", "-.inf", "!!int x", "*none", "&a", "- a", "a: b", "[", "%")
	}
	return pick("1", "0", "-1", "1.5", "1e3", "010", "0x1F", "0o17", "1_000", "1000000", "12345678", "9007199254740993", "123456789012345678901", ".5", "1.", "true", "false", "yes", "no", "on", "off", "y", "n", "null", "~", "", "\"\"", "text", "\"1\"", "'it''s'", "a b", "2024-01-01", "2024-01-01T00:00:00Z", "12:30", "1:2:3", "[]", "{}", "[1, a, null]", "[{k: v}, {k: w}]", "\"é\\n\"", "|\n    block\n     more\n", ">-\n    folded\n    text\n", "!!str 5", "\"{{ .Release.Name }}\"", "\"a\\tb\"", "'#'", "\"@x\"", "0.1", "1e-7", "1e21", "+1", "v1", "1.2.3")
}

func valuesTree(indent string, depth int) string {
	var out strings.Builder
	seen := map[string]bool{}
	for range 1 + r.Intn(5) {
		key := pick("k", "l", "m", "n", "enabled", "exports", "data", "all", "imported", "c1", "c2", "lib", "a1", "a2", "global", "tags", "front", "back", "\"q k\"", "1", "y", "a.b", "k10", "k2", "image", "replicas")
		if seen[key] && r.Intn(60) > 0 {
			continue
		}
		seen[key] = true
		switch {
		case key == "tags" || key == "global" && r.Intn(2) == 0:
			fmt.Fprintf(&out, "%s%s:\n%s  front: %s\n%s  back: %s\n%s  enabled: %s\n", indent, key, indent, pick("true", "false", "text"), indent, pick("true", "false"), indent, pick("true", "false", "1"))
		case key == "enabled":
			fmt.Fprintf(&out, "%s%s: %s\n", indent, key, pick("true", "false", "true", "\"true\"", "1", "null"))
		case depth > 0 && r.Intn(2) == 0:
			fmt.Fprintf(&out, "%s%s:\n%s", indent, key, valuesTree(indent+"  ", depth-1))
		default:
			value := strings.ReplaceAll(leafValue(), "\n    ", "\n"+indent+"    ")
			fmt.Fprintf(&out, "%s%s: %s\n", indent, key, value)
		}
	}
	return out.String()
}

func valuesFile() string {
	text := valuesTree("", 3)
	switch r.Intn(40) {
	case 0:
		return damagedYAML(text)
	case 1:
		return text + "---\n" + valuesTree("", 1)
	case 2:
		return "# only a comment\n"
	case 3:
		return "\uFEFF" + text
	case 4:
		return "base: &b\n  k: 1\n  l: [2]\nother:\n  <<: *b\n  k: 3\n" + text
	}
	return text
}

func damagedYAML(text string) string {
	at := r.Intn(len(text) + 1)
	return text[:at] + pick(":", "\t", "- ", "[", "}", "\"", "'", "&a ", "*a", "\n", "  ", "%", "@", "|", "\x01", ": ", "#", "!x ", "{", "? ") + text[at:]
}

// overrides are what a user gives beside the chart's own values.
func overrides(files map[string]string) map[string]any {
	if r.Intn(3) == 0 {
		return map[string]any{}
	}
	return userTable(3)
}

func userTable(depth int) map[string]any {
	out := map[string]any{}
	for range 1 + r.Intn(4) {
		key := pick("k", "l", "m", "enabled", "c1", "c2", "lib", "a1", "global", "tags", "exports", "imported", "image", "front", "new")
		switch {
		case key == "tags":
			out[key] = pick[any](map[string]any{"front": true}, map[string]any{"back": false}, map[string]any{"front": false, "back": true}, nil, "x")
		case key == "enabled":
			out[key] = pick[any](true, false, nil, "false")
		case depth > 0 && r.Intn(2) == 0:
			out[key] = userTable(depth - 1)
		default:
			out[key] = pick[any](nil, nil, 1.0, 2.5, "s", "", true, false, []any{}, []any{1.0, nil}, map[string]any{}, []any{map[string]any{"k": nil}}, 1e6)
		}
	}
	return out
}

func schemaFile() string {
	property := func() any {
		return pick[any](
			map[string]any{"type": pick("string", "integer", "number", "boolean", "object", "array", "null")},
			map[string]any{"type": []string{"string", "null"}},
			map[string]any{"enum": []any{1, "text", nil, true}},
			map[string]any{"minimum": 2}, map[string]any{"maxLength": 2, "pattern": "^[a-c]+$"},
			map[string]any{"anyOf": []any{map[string]any{"type": "string"}, map[string]any{"minimum": 5}}},
			map[string]any{"oneOf": []any{map[string]any{"type": "number"}, map[string]any{"minimum": 0}}},
			map[string]any{"not": map[string]any{"type": "object"}}, map[string]any{"const": 1}, true, false,
			map[string]any{"$ref": "#/definitions/d"}, map[string]any{"$ref": "#/$defs/none"},
			map[string]any{"type": "object", "required": []string{"k"}, "additionalProperties": false, "properties": map[string]any{"k": map[string]any{"type": "integer"}}},
			map[string]any{"items": map[string]any{"type": "string"}, "minItems": 1, "uniqueItems": true},
			map[string]any{"format": pick("ipv4", "uri", "date-time", "email", "x")}, map[string]any{"multipleOf": 2},
		)
	}
	properties := map[string]any{}
	for range 1 + r.Intn(3) {
		properties[pick("k", "l", "m", "enabled", "image", "global")] = property()
	}
	schema := map[string]any{"properties": properties}
	if r.Intn(2) == 0 {
		schema["$schema"] = pick("http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/schema#", "http://json-schema.org/draft-04/schema#", "https://json-schema.org/draft/2019-09/schema")
	}
	if r.Intn(3) == 0 {
		schema["required"] = []string{pick("k", "none", "global")}
	}
	if r.Intn(4) == 0 {
		schema["type"] = pick("object", "object", "object", "object", "array")
	}
	if r.Intn(5) == 0 {
		schema["additionalProperties"] = false
	}
	schema["definitions"] = map[string]any{"d": map[string]any{"type": "string"}}
	text, err := json.MarshalIndent(schema, "", "  ")
	fail(err)
	if r.Intn(30) == 0 {
		return string(text[:len(text)-1-r.Intn(5)])
	}
	return string(text)
}
