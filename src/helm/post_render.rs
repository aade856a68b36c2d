//! Post-rendering: rendered documents go through a renderer of the user's before they are sorted into hooks and manifests.
//! Each document carries the name of its file in an annotation meanwhile, as in Helm 4.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::hook::Hook;
use crate::manifest::{self, Manifest, sort_files, split};
use crate::notice::Notice;
use crate::yaml;

/// The annotation that carries the name of a document's file through a post-renderer.
pub const FILENAME_ANNOTATION: &str = "postrenderer.helm.sh/postrender-filename";

/// Which documents a post-renderer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Hooks and manifests together.
    #[default]
    Combined,
    /// Hooks, then manifests.
    Separate,
    /// Manifests alone; hooks stay as they are.
    NoHooks,
}

/// Changes rendered documents.
pub trait PostRenderer {
    /// Takes the documents in their order and returns those to install in their place.
    fn run(&self, documents: Vec<Value>) -> Result<Vec<Value>, Box<dyn std::error::Error + Send + Sync>>;
}

/// A post-renderer and what it sees.
#[derive(Clone, Copy)]
pub struct PostRender<'a> {
    pub renderer: &'a dyn PostRenderer,
    pub strategy: Strategy,
}

/// Why documents could not be post-rendered; the texts are Helm's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Sort(#[source] manifest::Error),
    #[error("error merging {group}: parsing {path}: {kio}{source}")]
    Parse { group: &'static str, path: String, kio: &'static str, source: yaml::Error },
    #[error("error merging {group}: parsing {path}: wrong node kind: expected a mapping")]
    NoMapping { group: &'static str, path: String },
    #[error("error while running post render on {group}: {source}")]
    Run { group: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("error while parsing post rendered output{group}: re-writing {path}: {source}")]
    Write { group: String, path: String, source: yaml::Error },
}

type Files = BTreeMap<String, Vec<u8>>;

/// Sends rendered files, by path, through a post-renderer, and returns the files that are sorted in their place.
pub(crate) fn run(files: &Files, post: PostRender<'_>, notices: &mut Vec<Notice>) -> Result<Files, Error> {
    if post.strategy == Strategy::Combined {
        return render(files, post, Group { merged: "manifests", run: "files", split: "", prefix: "" });
    }
    let (hooks, manifests) = sort_files(files, true, notices).map_err(Error::Sort)?;
    let mut hook_files = Files::new();
    for Hook { path, manifest, .. } in &hooks {
        join(&mut hook_files, path, manifest.as_bytes());
    }
    let mut manifest_files = Files::new();
    for Manifest { path, text, .. } in &manifests {
        join(&mut manifest_files, path, text.as_bytes());
    }
    let mut out = if post.strategy == Strategy::Separate {
        let group = Group { merged: "hooks", run: "hooks", split: " for hooks", prefix: "hooks-" };
        render(&hook_files, post, group)?
    } else {
        hook_files
    };
    let group = Group { merged: "manifests", run: "manifests", split: " for manifests", prefix: "manifests-" };
    for (path, text) in render(&manifest_files, post, group)? {
        join(&mut out, &path, &text);
    }
    Ok(out)
}

fn join(files: &mut Files, path: &str, text: &[u8]) {
    match files.get_mut(path) {
        Some(before) => {
            before.extend_from_slice(b"\n---\n");
            before.extend_from_slice(text);
        }
        None => {
            files.insert(path.to_owned(), text.to_vec());
        }
    }
}

/// How one run of the post-renderer is called in errors and made-up names.
#[derive(Clone, Copy)]
struct Group {
    merged: &'static str,
    run: &'static str,
    split: &'static str,
    prefix: &'static str,
}

fn render(files: &Files, post: PostRender<'_>, group: Group) -> Result<Files, Error> {
    if files.is_empty() && post.strategy != Strategy::Combined {
        return Ok(Files::new());
    }
    let documents = documents(files, group)?;
    let rendered = post.renderer.run(documents).map_err(|source| Error::Run { group: group.run, source })?;
    files_of(rendered, group)
}

/// Reads the documents of all files, each with the name of its file.
fn documents(files: &Files, group: Group) -> Result<Vec<Value>, Error> {
    let mut documents = Vec::new();
    for (path, text) in files {
        if path.rsplit('/').next().is_some_and(|name| name.starts_with('_')) {
            continue;
        }
        for part in split(text) {
            for mut document in read(path, part, group)? {
                let no_mapping = || Error::NoMapping { group: group.merged, path: path.clone() };
                annotate(&mut document, path).ok_or_else(no_mapping)?;
                documents.push(document);
            }
        }
    }
    Ok(documents)
}

/// Reads one part of a file as kustomize does; a list is taken for its items.
fn read(path: &str, part: &[u8], group: Group) -> Result<Vec<Value>, Error> {
    let mut documents = Vec::new();
    for manifest in yaml::manifests(part) {
        let failed = |source: yaml::Error| {
            let kio =
                if source.to_string().starts_with("invalid document separator") { "" } else { "MalformedYAMLError: " };
            Error::Parse { group: group.merged, path: path.to_owned(), kio, source }
        };
        documents.push(manifest.value.map_err(failed)?);
    }
    if let [Value::Object(list)] = documents.as_mut_slice()
        && matches!(list.get("kind").and_then(Value::as_str), Some("List" | "ResourceList"))
        && (list.contains_key("items") || list.contains_key("functionConfig"))
    {
        let items =
            list.remove("items").and_then(|items| if let Value::Array(items) = items { Some(items) } else { None });
        return Ok(items.unwrap_or_default());
    }
    Ok(documents)
}

fn annotate(document: &mut Value, path: &str) -> Option<()> {
    let metadata = child(document.as_object_mut()?, "metadata")?;
    child(metadata, "annotations")?.insert(FILENAME_ANNOTATION.to_owned(), path.into());
    Some(())
}

/// Returns a map within a map, made where there is none.
fn child<'m>(map: &'m mut Map<String, Value>, key: &str) -> Option<&'m mut Map<String, Value>> {
    let value = map.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut()
}

/// Writes documents back into the files that they carry the names of.
fn files_of(documents: Vec<Value>, group: Group) -> Result<Files, Error> {
    let mut files = Files::new();
    for (at, mut document) in documents.into_iter().enumerate() {
        let path = take_name(&mut document);
        let path = path.unwrap_or_else(|| {
            let mut name = String::from("generated-by-postrender-");
            // Writing to a text does not fail.
            let _ = write!(name, "{}{at}.yaml", group.prefix);
            name
        });
        let mut text = Vec::new();
        let failed = |source| Error::Write { group: group.split.to_owned(), path: path.clone(), source };
        yaml::emit_restyled(&document, &mut text).map_err(failed)?;
        let file = files.entry(path).or_default();
        if !file.is_empty() {
            file.extend_from_slice(b"---\n");
        }
        file.append(&mut text);
    }
    Ok(files)
}

/// Takes the name of its file off a document.
fn take_name(document: &mut Value) -> Option<String> {
    let metadata = document.get_mut("metadata")?.as_object_mut()?;
    let annotations = metadata.get_mut("annotations")?.as_object_mut()?;
    let name = annotations.remove(FILENAME_ANNOTATION);
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    name.as_ref().and_then(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marks every document, and tells how many it saw in `metadata.seen`.
    struct Mark;

    impl PostRenderer for Mark {
        fn run(&self, mut documents: Vec<Value>) -> Result<Vec<Value>, Box<dyn std::error::Error + Send + Sync>> {
            let count = documents.len();
            for document in &mut documents {
                if document["kind"] == "Bad" {
                    return Err("no such kind".into());
                }
                document["seen"] = count.into();
            }
            Ok(documents)
        }
    }

    fn rendered(files: &[(&str, &str)], strategy: Strategy) -> Result<Vec<(String, String)>, String> {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        let out = run(&files, PostRender { renderer: &Mark, strategy }, &mut Vec::new());
        let text = |(path, text)| (path, String::from_utf8(text).unwrap());
        out.map(|files| files.into_iter().map(text).collect()).map_err(|error| error.to_string())
    }

    const HOOK: &str = "kind: Job\nmetadata:\n  name: h\n  annotations:\n    helm.sh/hook: pre-install\n";
    const PLAIN: &str = "# why\nkind: Pod\nmetadata: {name: p}\n---\nkind: Pod\nmetadata: {name: q}\n";

    #[test]
    fn documents_come_back_in_their_files() {
        let files =
            rendered(&[("c/a.yaml", PLAIN), ("c/h.yaml", HOOK), ("c/_p.tpl", "x")], Strategy::Combined).unwrap();
        let pod = |name: &str| format!("kind: Pod\nmetadata:\n  name: {name}\nseen: 3\n");
        assert_eq!(files[0], ("c/a.yaml".to_owned(), format!("{}---\n{}", pod("p"), pod("q"))));
        assert_eq!(
            files[1].1,
            format!(
                "{}seen: 3\n",
                HOOK.replace(
                    "  name: h\n  annotations:\n    helm.sh/hook: pre-install\n",
                    "  annotations:\n    helm.sh/hook: pre-install\n  name: h\n"
                )
            )
        );
        assert_eq!(files.len(), 2);
    }

    #[test]
    fn hooks_are_seen_apart_or_not_at_all() {
        let files = [("c/a.yaml", PLAIN), ("c/h.yaml", HOOK)];
        let separate = rendered(&files, Strategy::Separate).unwrap();
        assert!(separate[0].1.contains("seen: 2") && separate[1].1.contains("seen: 1"), "{separate:?}");
        let without = rendered(&files, Strategy::NoHooks).unwrap();
        assert_eq!(without[1].1, HOOK);
        assert!(without[0].1.contains("seen: 2"));
    }

    #[test]
    fn an_error_says_what_was_post_rendered() {
        let bad = [("c/a.yaml", "kind: Bad\nmetadata: {name: b}")];
        assert_eq!(
            rendered(&bad, Strategy::Combined).unwrap_err(),
            "error while running post render on files: no such kind"
        );
        let error = rendered(&bad, Strategy::NoHooks).unwrap_err();
        assert_eq!(error, "error while running post render on manifests: no such kind");
        let error = rendered(&[("c/a.yaml", "a: [")], Strategy::Combined).unwrap_err();
        assert!(error.starts_with("error merging manifests: parsing c/a.yaml: MalformedYAMLError: yaml: "), "{error}");
    }

    #[test]
    fn a_list_is_taken_for_its_items_and_long_lines_stay_whole() {
        let long = "word ".repeat(30);
        let text =
            format!("kind: List\nitems:\n- kind: A\n  metadata: {{name: a}}\n  yes: no\n  text: {long}\n- kind: B\n");
        let files = rendered(&[("c/a.yaml", &text)], Strategy::Combined).unwrap();
        let expected = format!(
            "kind: A\nmetadata:\n  name: a\nseen: 2\ntext: {}\n\"yes\": \"no\"\n---\nkind: B\nmetadata: {{}}\nseen: 2\n",
            long.trim_end()
        );
        assert_eq!(files[0].1, expected);
    }
}
