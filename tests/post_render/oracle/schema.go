package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// writeSchema writes what a strategic merge has to know, a line a definition: its name, and each field that is merged by
// keys or leads to one that is: `field=Definition`, `field=[keys]Definition` for a
// list that is merged by keys, `field=[]` for a set of scalars. A line `group/version kind Definition` stands for a kind,
// with `-` for one without such fields; `!` follows where it has no namespace.
func writeSchema(out io.Writer) {
	openapi.SchemaForResourceType(yaml.TypeMeta{APIVersion: "v1", Kind: "Pod"})
	root := openapi.Schema()
	text, err := json.Marshal(root)
	if err != nil {
		panic(err)
	}
	var tree struct {
		Definitions map[string]spec.Schema `json:"definitions"`
	}
	if err := json.Unmarshal(text, &tree); err != nil {
		panic(err)
	}
	w := walker{definitions: tree.Definitions, leads: map[string]bool{}}
	// A definition leads to a merged list if one of its fields does: looked at until nothing changes.
	for changed := true; changed; {
		changed = false
		for name := range tree.Definitions {
			if !w.leads[name] && len(w.fields(name)) > 0 {
				w.leads[name], changed = true, true
			}
		}
	}
	names := make([]string, 0, len(w.leads))
	for name := range w.leads {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(out, "%s %s\n", short(name), strings.Join(w.fields(name), " "))
	}
	kinds := []string{}
	for name, definition := range tree.Definitions {
		list, _ := definition.Extensions["x-kubernetes-group-version-kind"].([]any)
		for _, item := range list {
			gvk := item.(map[string]any)
			apiVersion := gvk["version"].(string)
			if group := gvk["group"].(string); group != "" {
				apiVersion = group + "/" + apiVersion
			}
			kind := gvk["kind"].(string)
			namespaced, known := openapi.IsNamespaceScoped(yaml.TypeMeta{APIVersion: apiVersion, Kind: kind})
			line := fmt.Sprintf("%s %s -", apiVersion, kind)
			if w.leads[name] {
				line = fmt.Sprintf("%s %s %s", apiVersion, kind, short(name))
			}
			if known && !namespaced {
				line += " !"
			}
			if w.leads[name] || strings.HasSuffix(line, "!") {
				kinds = append(kinds, line)
			}
		}
	}
	sort.Strings(kinds)
	fmt.Fprintln(out, strings.Join(kinds, "\n"))
}

// short leaves out of a definition's name what all of them begin with.
func short(name string) string {
	name = strings.TrimPrefix(name, "io.k8s.apimachinery.pkg.apis.meta.")
	return strings.TrimPrefix(strings.TrimPrefix(name, "io.k8s.api."), "io.k8s.")
}

type walker struct {
	definitions map[string]spec.Schema
	leads       map[string]bool
}

func (w walker) fields(name string) []string {
	definition := w.definitions[name]
	found := []string{}
	for field, schema := range definition.Properties {
		if text := w.field(schema); text != "" {
			found = append(found, field+"="+text)
		}
	}
	sort.Strings(found)
	return found
}

func reference(schema spec.Schema) string {
	return strings.TrimPrefix(schema.Ref.String(), "#/definitions/")
}

func (w walker) field(schema spec.Schema) string {
	if to := reference(schema); to != "" {
		if w.leads[to] {
			return short(to)
		}
		return ""
	}
	if schema.Items == nil || schema.Items.Schema == nil {
		return ""
	}
	element := reference(*schema.Items.Schema)
	resource := openapi.ResourceSchema{Schema: &schema}
	strategy, keys := resource.PatchStrategyAndKeyList()
	merged := false
	for _, word := range strings.Split(strategy, ",") {
		merged = merged || word == "merge"
	}
	if merged {
		if len(keys) == 0 {
			return "[]"
		}
		if !w.leads[element] {
			element = ""
		}
		return "[" + strings.Join(keys, ",") + "]" + short(element)
	}
	return ""
}
