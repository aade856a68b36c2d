//! Folders as people leave them. Documents are JSON here, separated by lines of `---`: YAML is the engine's matter.

use super::*;

fn parse(bytes: &[u8]) -> Vec<Document> {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    let mut line = 1;
    let mut documents = Vec::new();
    for (at, part) in text.split("---\n").enumerate() {
        let tree = serde_json::from_str(part).map_err(|error| error.to_string());
        documents.push(Document { number: at + 1, line, tree });
        line += part.matches('\n').count() + 1;
    }
    documents
}

fn folder(files: &[(&str, &str)]) -> Folder {
    read(files.iter().map(|(path, text)| (*path, text.as_bytes())), parse).expect("no kustomization")
}

fn config(name: &str) -> String {
    format!(r#"{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "{name}", "namespace": "n"}}}}"#)
}

fn names(folder: &Folder) -> Vec<&str> {
    folder.manifests.iter().map(|manifest| manifest.id.name.as_str()).collect()
}

#[test]
fn every_yaml_file_is_read_and_no_other() {
    let (a, b) = (config("a"), config("b"));
    let folder = folder(&[("s/a.yaml", &a), ("s/README.md", "# no"), ("s/sub/b.yml", &b), ("s/c.json", "{}")]);
    assert_eq!(names(&folder), ["a", "b"]);
    assert_eq!(folder.faults, []);
}

#[test]
fn lists_and_documents_are_taken_apart() {
    let text = format!(
        "{}\n---\n{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{}, {}]}}\n---\nnull",
        config("a"),
        config("b"),
        config("c")
    );
    let folder = folder(&[("a.yaml", &text)]);
    assert_eq!(names(&folder), ["a", "b", "c"]);
    assert_eq!(folder.manifests[2].place, Place { file: "a.yaml".into(), document: 2, line: 3 });
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_goes_on() {
    let text = format!("{}\n---\n{{broken\n---\n{}", config("a"), config("b"));
    let folder = folder(&[("s/a.yaml", &text)]);
    assert_eq!(names(&folder), ["a", "b"]);
    let fault = folder.faults[0].to_string();
    assert!(fault.starts_with("s/a.yaml, document 2, line 3: failed to decode Kubernetes YAML: "), "{fault}");
}

#[test]
fn what_is_no_object_is_named() {
    let rows = [
        ("[1]", "the document is no object"),
        ("\"text\"", "the document is no object"),
        (r#"{"kind": "Pod"}"#, "apiVersion or kind is missing"),
        (r#"{"apiVersion": "v1", "kind": "Pod"}"#, "Pod has no metadata.name"),
        (r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": 3}}"#, "Pod has no metadata.name"),
        (r#"{"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Component"}"#, "configures kustomize"),
    ];
    for (text, expected) in rows {
        let folder = folder(&[("a.yaml", text)]);
        assert!(folder.manifests.is_empty(), "{text}");
        assert!(folder.faults[0].message.contains(expected), "{text}: {}", folder.faults[0].message);
    }
}

#[test]
fn an_object_that_is_there_twice_is_named_with_both_places() {
    let a = config("a");
    let folder = folder(&[("a.yaml", &a), ("b.yaml", &a)]);
    assert_eq!(names(&folder), ["a"]);
    assert_eq!(
        folder.faults[0].to_string(),
        "b.yaml, document 1, line 1: ConfigMap/n/a is already defined in a.yaml, document 1, line 1"
    );
}

#[test]
fn a_kustomization_file_stops_the_folder() {
    for name in KUSTOMIZATION_FILES {
        let path = format!("s/sub/{name}");
        let read = read([(path.as_str(), &b"{}"[..])], parse);
        assert_eq!(read, Err(FolderError::Kustomization(path.clone())));
    }
}

#[test]
fn local_configuration_is_left_out_and_empty_documents_are_nothing() {
    let local = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "annotations": {"config.kubernetes.io/local-config": "true"}}}"#;
    let folder = folder(&[("a.yaml", local), ("b.yaml", "null"), ("c.yaml", "{}")]);
    assert_eq!(folder, Folder::default());
}

#[test]
fn documents_and_bytes_are_bounded() {
    let many = vec![Document { number: 1, line: 1, tree: Ok(Value::Null) }; MAX_DOCUMENTS + 1];
    let folder = read([("a.yaml", &b""[..])], |_| many.clone()).expect("no kustomization");
    assert_eq!(folder.faults[0].to_string(), "a.yaml: the file has 5001 documents, more than the 5000 that are read");
    let large = vec![b' '; MAX_FILE + 1];
    let folder = read([("a.yaml", large.as_slice())], |_| Vec::new()).expect("no kustomization");
    assert!(folder.faults[0].message.contains("bytes"));
}

#[test]
fn lists_within_lists_end_somewhere() {
    let mut tree = serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}});
    for _ in 0..10 {
        tree = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [tree]});
    }
    let folder = read([("a.yaml", &b""[..])], |_| vec![Document { number: 1, line: 1, tree: Ok(tree.clone()) }])
        .expect("no kustomization");
    assert_eq!(folder.faults[0].message, "lists hold lists too deep");
}
