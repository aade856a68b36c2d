package main

import (
	"fmt"
	"strings"
)

// writeTemplates gives a chart one file that shows what it sees, and a few of other kinds.
func writeTemplates(files map[string]string, folder string, library bool) {
	templates := folder + "templates/"
	files[templates+"values.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-{{ .Chart.Name }}\ndata:\n  values: {{ .Values | toJson | quote }}\n  chart: {{ .Chart | toJson | quote }}\n  template: {{ .Template.Name }}\n  subcharts: {{ keys .Subcharts | sortAlpha | join \",\" }}\n  files: {{ range $path, $_ := .Files }}{{ $path }},{{ end }}\n"
	if library {
		files[templates+"_lib.tpl"] = "{{- define \"lib.name\" -}}lib of {{ .Chart.Name }}{{- end -}}\n"
	}
	if r.Intn(3) == 0 {
		files[templates+"_helpers.tpl"] = fmt.Sprintf("{{- define %q -}}from %s{{ .Chart.Name }}{{- end -}}\n", pick("name", "app.name", "c1.name"), strings.ReplaceAll(folder, "/", "."))
	}
	for range r.Intn(4) {
		name := pick("a.yaml", "b.yaml", "z.yml", "sub/a.yaml", "c.txt", "_p.yaml", "job.yaml", "x.json", "sub/NOTES.txt", ".hidden.yaml", "svc.tpl")
		files[templates+name] = manifestFile()
	}
	if r.Intn(3) == 0 {
		files[templates+"NOTES.txt"] = pick("Thanks for {{ .Chart.Name }}\n", "\n\n  notes of {{ .Release.Name }} r{{ .Release.Revision }}\n\n", "{{ if .Values.k }}k is set{{ end }}", "", "{{ .Values | toJson }}", pick("x", "{{ include \"lib.name\" . }}", "{{ fail \"notes\" }}"))
	}
	if r.Intn(8) == 0 {
		files[templates+"tests/t.yaml"] = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: t\n  annotations:\n    helm.sh/hook: test\n"
	}
}

// manifestFile writes documents with what may stand between them.
func manifestFile() string {
	var out strings.Builder
	out.WriteString(pick("", "", "---\n", "# comment\n", "\n\n", "{{- if true }}\n", "--- # x\n", "{{/* c */}}\n"))
	open := strings.HasSuffix(out.String(), "{{- if true }}\n")
	for at := range 1 + r.Intn(3) {
		if at > 0 {
			out.WriteString(pick("---\n", "---\n", "--- \n", "---\n---\n", "\n---\n\n", "--- # c\n", "---\t\n", "---\r\n", "----\n", " ---\n", "---x\n"))
		}
		out.WriteString(document())
	}
	if open {
		out.WriteString("{{- end }}\n")
	}
	return out.String()
}

func document() string {
	switch r.Intn(60) {
	case 0, 1:
		return pick("# only a comment\n", "\n", "   \n", "{{ \"\" }}\n", "null\n", "~\n", "{}\n")
	case 2:
		return pick("- a\n- b\n", "text\n", "5\n", "a: b: c\n", "a: 1\na: 2\n", "\ta: 1\n", "kind: X\nmetadata: text\n", "a: {{ .Values.none.x }}\n", "{{ fail \"no\" }}\n", "{{ required \"need it\" .Values.none }}\n", "kind: [a]\n", "a: 'x\n", "{{ include \"none\" . }}\n", "{{ .Values.k.l.m }}\n")
	case 3:
		return newSnippet() + "\n"
	case 4:
		return "a: {{ include \"name\" . }}\nb: {{ include \"c1.name\" . | quote }}\n"
	case 5, 6:
		return pick("apiVersion: v1\nkind: List\nitems:\n- kind: Secret\n  apiVersion: v1\n  metadata: {name: i}\n", "kind: ConfigMap\n", "apiVersion: v1\n", "metadata:\n  name: no-kind\n", "{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"json\"}}\n")
	}
	kind := pick("ConfigMap", "Secret", "Service", "Deployment", "Namespace", "CustomResourceDefinition", "ServiceAccount", "ClusterRole", "RoleBinding", "StatefulSet", "Job", "CronJob", "Ingress", "APIService", "PodDisruptionBudget", "NetworkPolicy", "PriorityClass", "StorageClass", "HorizontalPodAutoscaler", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "Widget", "Apple", "Pod", "PersistentVolumeClaim", "PersistentVolume", "ResourceQuota", "LimitRange", "DaemonSet", "ReplicaSet", "ReplicationController", "IngressClass", "ClusterRoleList", "RoleList", "SecretList", "configmap", "\"Service\"")
	var out strings.Builder
	fmt.Fprintf(&out, "apiVersion: %s\nkind: %s\nmetadata:\n  name: %s\n", pick("v1", "apps/v1", "batch/v1", "x.io/v1", "\"v1\"", "1"), kind, pick("a", "b", "c", "{{ .Release.Name }}-x", "d-1", "\"e\"", "1"))
	if r.Intn(6) == 0 {
		fmt.Fprintf(&out, "  namespace: %s\n", pick("ns", "other", "\"\""))
	}
	if r.Intn(3) == 0 {
		out.WriteString("  annotations:\n")
		for range 1 + r.Intn(3) {
			line := pick(
				"helm.sh/hook: "+pick("pre-install", "post-install", "pre-upgrade,post-upgrade", "test", "test-success", "pre-delete", "\"pre-install, post-install\"", "none", "pre-rollback", "\"\"", "Pre-Install", "test-failure", "crd-install", "pre-install,bad"),
				"helm.sh/hook-weight: "+pick("\"5\"", "\"-1\"", "\"x\"", "\"12\"", "\"0\"", "\"1.5\""),
				"helm.sh/hook-delete-policy: "+pick("hook-succeeded", "before-hook-creation,hook-failed", "x", "\"hook-succeeded , hook-failed\""),
				"helm.sh/hook-output-log-policy: "+pick("hook-failed", "hook-succeeded,hook-failed", "x"),
				"helm.sh/resource-policy: "+pick("keep", "\"keep \"", "x"),
				"a: "+pick("b", "\"1\"", "\"2\"", "c", "d", "e", "f", "true", "1", "null"),
			)
			if name, _, _ := strings.Cut(line, ":"); !strings.Contains(out.String(), "    "+name+":") {
				out.WriteString("    " + line + "\n")
			}
		}
	}
	if r.Intn(2) == 0 {
		fmt.Fprintf(&out, "%s: %s\n", pick("data", "spec", "x"), pick("{{ .Values.m | toJson }}", "{{ .Values.k | quote }}", "{{ toYaml .Values.m | nindent 2 }}", "{{ .Files.Glob \"files/*\" | len }}", "{{ .Capabilities.KubeVersion }}", "{{ .Capabilities.APIVersions.Has \"x.io/v1\" }}", "{{ .Release | toJson }}", "{{ .Values.global | toJson }}", "{{ tpl (toString .Values.image) . | quote }}", "{{ .Chart.Version }}", "{{ lookup \"v1\" \"Pod\" \"\" \"\" | toJson }}", "{a: 1} # c", "|\n  text\n\n  more\n\n", "{{ $.Template | toJson }}", "{{ set .Values \"seen\" 1 | len }}", "{{ .Values.seen }}", "{{ .Chart.AppVersion | quote }}"))
	}
	return out.String()
}
