"""Charts of our own: a small one of four objects, and twenty that differ in size."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

LABELS = "{app.kubernetes.io/name: {{ .Release.Name }}, app.kubernetes.io/managed-by: {{ .Release.Service }}}"
TEMPLATES = {
    "deployment.yaml": f"""apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{{{ .Release.Name }}}}
  labels: {LABELS}
spec:
  replicas: {{{{ .Values.replicas }}}}
  selector:
    matchLabels: {{app.kubernetes.io/name: {{{{ .Release.Name }}}}}}
  template:
    metadata:
      labels: {LABELS}
    spec:
      serviceAccountName: {{{{ .Release.Name }}}}
      containers:
        - name: app
          image: "{{{{ .Values.image.repository }}}}:{{{{ .Values.image.tag }}}}"
          ports: [{{name: http, containerPort: 8080, protocol: TCP}}]
          env:
            {{{{- range $name, $value := .Values.env }}}}
            - {{name: {{{{ $name }}}}, value: {{{{ $value | quote }}}}}}
            {{{{- end }}}}
""",
    "service.yaml": f"""apiVersion: v1
kind: Service
metadata:
  name: {{{{ .Release.Name }}}}
  labels: {LABELS}
spec:
  selector: {{app.kubernetes.io/name: {{{{ .Release.Name }}}}}}
  ports: [{{name: http, port: 80, targetPort: http, protocol: TCP}}]
""",
    "serviceaccount.yaml": f"""apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{{{ .Release.Name }}}}
  labels: {LABELS}
automountServiceAccountToken: false
""",
    "ingress.yaml": f"""apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{{{ .Release.Name }}}}
  labels: {LABELS}
spec:
  rules:
    - host: {{{{ .Release.Name }}}}.{{{{ .Values.domain }}}}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend: {{service: {{name: {{{{ .Release.Name }}}}, port: {{name: http}}}}}}
""",
}
VALUES = "replicas: 0\nimage: {repository: registry.case.test/app, tag: v1}\nenv: {REVISION: one}\ndomain: case.test\n"
SETTINGS = """apiVersion: v1
kind: ConfigMap
metadata:
  name: {{{{ .Release.Name }}}}-{number}
data:
  {{{{- range $line := until {lines} }}}}
  line-{{{{ $line }}}}: {{{{ printf "%s of %s, line %d" $.Chart.Name $.Release.Name $line | quote }}}}
  {{{{- end }}}}
"""
KINDS_OF_CHARTS = 20
CRD_BYTES = 130_000


def archive(name: str, templates: dict[str, str]) -> bytes:
    """A chart's archive, the same bytes for the same files."""
    packed = io.BytesIO()
    files = {"Chart.yaml": f"apiVersion: v2\nname: {name}\nversion: 1.0.0\n", "values.yaml": VALUES}
    files |= {f"templates/{path}": text for path, text in templates.items()}
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, text in files.items():
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(packed.getvalue(), mtime=0)


def publish(folder: Path) -> None:
    """Writes the charts `app` and `app-0` to `app-19`, and their index."""
    charts = {"app": TEMPLATES}
    for kind in range(KINDS_OF_CHARTS):
        more = {f"settings-{n}.yaml": SETTINGS.format(number=n, lines=10 + 10 * kind) for n in range(1 + kind % 7)}
        charts[f"app-{kind}"] = TEMPLATES | more
    folder.mkdir()
    entries = []
    for name, templates in charts.items():
        data = archive(name, templates)
        (folder / f"{name}-1.0.0.tgz").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        entries.append(
            f"  {name}:\n  - {{apiVersion: v2, name: {name}, version: 1.0.0, digest: {digest}, "
            f'urls: ["{name}-1.0.0.tgz"], created: "2026-01-01T00:00:00Z"}}\n'
        )
    (folder / "index.yaml").write_text("apiVersion: v1\nentries:\n" + "".join(entries))


def large_definition(number: int) -> dict:
    """A CustomResourceDefinition of about 130 kB, as operators bring them."""
    field = {"type": "string", "description": "A field of a large definition. " * 4, "maxLength": 253}
    count = CRD_BYTES // 190
    properties = {f"field{n:04}": field for n in range(count)}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}
    names = {"kind": f"Large{number}", "plural": f"large{number}s", "singular": f"large{number}"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"large{number}s.bench.case.test"},
        "spec": {"group": "bench.case.test", "scope": "Namespaced", "names": names, "versions": [version]},
    }
