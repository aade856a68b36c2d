// Command oracle runs post-render cases through Helm and kustomize, chained as helm-controller chains them, and writes
// what comes out:
//
//	go run . ../cases.jsonl > ../recorded.jsonl
//	go run . -schema > ../../../src/reconcile/release/post_render/schema.txt
//
// -schema writes what kustomize knows of the built-in kinds instead: which lists are merged by which keys, and which
// kinds have no namespace.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"sort"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	kubefake "helm.sh/helm/v4/pkg/kube/fake"
	release "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage"
	"helm.sh/helm/v4/pkg/storage/driver"
	"io"
	"sigs.k8s.io/kustomize/api/builtins"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/resid"
)

type selector struct {
	Group              string `json:"group"`
	Version            string `json:"version"`
	Kind               string `json:"kind"`
	Name               string `json:"name"`
	Namespace          string `json:"namespace"`
	LabelSelector      string `json:"labelSelector"`
	AnnotationSelector string `json:"annotationSelector"`
}

type kustomize struct {
	Patches []struct {
		Patch  string    `json:"patch"`
		Target *selector `json:"target"`
	} `json:"patches"`
	Images []struct {
		Name    string `json:"name"`
		NewName string `json:"newName"`
		NewTag  string `json:"newTag"`
		Digest  string `json:"digest"`
	} `json:"images"`
}

type testCase struct {
	Name  string            `json:"name"`
	Files map[string]string `json:"files"`
	Spec  struct {
		PostRenderers []struct {
			Kustomize *kustomize `json:"kustomize"`
		} `json:"postRenderers"`
		CommonMetadata *struct {
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"commonMetadata"`
		PostRenderStrategy string `json:"postRenderStrategy"`
	} `json:"spec"`
}

type hook struct {
	Path     string `json:"path"`
	Manifest string `json:"manifest"`
}

type recorded struct {
	Name     string `json:"name"`
	Manifest string `json:"manifest"`
	Hooks    []hook `json:"hooks"`
	Error    string `json:"error,omitempty"`
}

// chain runs one renderer after the other.
type chain []func([]byte) ([]byte, error)

func (c chain) Run(in *bytes.Buffer) (*bytes.Buffer, error) {
	text := in.Bytes()
	for _, step := range c {
		var err error
		if text, err = step(text); err != nil {
			return nil, err
		}
	}
	return bytes.NewBuffer(text), nil
}

func (k *kustomize) run(in []byte) ([]byte, error) {
	config := types.Kustomization{}
	config.APIVersion, config.Kind = types.KustomizationVersion, types.KustomizationKind
	config.Resources = []string{"helm-output.yaml"}
	for _, image := range k.Images {
		config.Images = append(config.Images, types.Image{
			Name: image.Name, NewName: image.NewName, NewTag: image.NewTag, Digest: image.Digest,
		})
	}
	for _, patch := range k.Patches {
		added := types.Patch{Patch: patch.Patch}
		if t := patch.Target; t != nil {
			added.Target = &types.Selector{
				ResId: resid.ResId{
					Gvk:       resid.Gvk{Group: t.Group, Version: t.Version, Kind: t.Kind},
					Name:      t.Name,
					Namespace: t.Namespace,
				},
				LabelSelector: t.LabelSelector, AnnotationSelector: t.AnnotationSelector,
			}
		}
		config.Patches = append(config.Patches, added)
	}
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	fs := filesys.MakeFsInMemory()
	for name, content := range map[string][]byte{"helm-output.yaml": in, "kustomization.yaml": text} {
		if err := fs.WriteFile(name, content); err != nil {
			return nil, err
		}
	}
	options := &krusty.Options{
		LoadRestrictions: types.LoadRestrictionsNone,
		PluginConfig:     types.DisabledPluginConfig(),
	}
	resources, err := krusty.MakeKustomizer(options).Run(fs, ".")
	if err != nil {
		return nil, err
	}
	return resources.AsYaml()
}

func metadata(labels, annotations map[string]string) func([]byte) ([]byte, error) {
	spec := func(path string) []types.FieldSpec {
		return []types.FieldSpec{{Path: path, CreateIfNotPresent: true}}
	}
	return func(in []byte) ([]byte, error) {
		if labels == nil && annotations == nil {
			return in, nil
		}
		factory := resmap.NewFactory(provider.NewDefaultDepProvider().GetResourceFactory())
		resources, err := factory.NewResMapFromBytes(in)
		if err != nil {
			return nil, err
		}
		if labels != nil {
			plugin := &builtins.LabelTransformerPlugin{Labels: labels, FieldSpecs: spec("metadata/labels")}
			if err := plugin.Transform(resources); err != nil {
				return nil, err
			}
		}
		if annotations != nil {
			plugin := &builtins.AnnotationsTransformerPlugin{
				Annotations: annotations, FieldSpecs: spec("metadata/annotations"),
			}
			if err := plugin.Transform(resources); err != nil {
				return nil, err
			}
		}
		return resources.AsYaml()
	}
}

func run(c testCase) recorded {
	steps := chain{}
	for _, renderer := range c.Spec.PostRenderers {
		if renderer.Kustomize != nil {
			steps = append(steps, renderer.Kustomize.run)
		}
	}
	if common := c.Spec.CommonMetadata; common != nil {
		steps = append(steps, metadata(common.Labels, common.Annotations))
	}
	steps = append(steps, metadata(map[string]string{
		"helm.toolkit.fluxcd.io/name":      "app",
		"helm.toolkit.fluxcd.io/namespace": "web",
	}, nil))
	config := &action.Configuration{
		Releases:     storage.Init(driver.NewMemory()),
		KubeClient:   &kubefake.PrintingKubeClient{Out: io.Discard, LogOutput: io.Discard},
		Capabilities: common.DefaultCapabilities,
	}
	install := action.NewInstall(config)
	install.DryRunStrategy = action.DryRunClient
	install.ReleaseName, install.Namespace = "app", "web"
	install.PostRenderer = steps
	install.PostRenderStrategy = action.PostRenderStrategy(c.Spec.PostRenderStrategy)
	loaded := &chart.Chart{Metadata: &chart.Metadata{APIVersion: "v2", Name: "c", Version: "1.0.0"}}
	for name, text := range c.Files {
		loaded.Templates = append(loaded.Templates, &common.File{Name: "templates/" + name, Data: []byte(text)})
	}
	out := recorded{Name: c.Name, Hooks: []hook{}}
	made, err := install.Run(loaded, map[string]any{})
	if err != nil {
		out.Error = err.Error()
		return out
	}
	rel := made.(*release.Release)
	out.Manifest = rel.Manifest
	for _, h := range rel.Hooks {
		out.Hooks = append(out.Hooks, hook{Path: h.Path, Manifest: h.Manifest})
	}
	sort.SliceStable(out.Hooks, func(i, j int) bool { return out.Hooks[i].Path < out.Hooks[j].Path })
	return out
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-schema" {
		writeSchema(os.Stdout)
		return
	}
	file, err := os.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<22)
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var c testCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			panic(fmt.Errorf("%s: %w", lines.Text(), err))
		}
		if err := encoder.Encode(run(c)); err != nil {
			panic(err)
		}
	}
}
