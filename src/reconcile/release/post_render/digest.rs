//! The digests that tell a change of the post-renderers: of the JSON that Go writes of Flux's own types, in the order of
//! their fields.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    api::{helm_release, kustomize, meta},
    source::archive,
};

#[derive(Serialize)]
struct PostRenderer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    kustomize: Option<Kustomize<'a>>,
}

#[derive(Serialize)]
struct Kustomize<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    patches: Vec<Patch<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Image<'a>>,
}

#[derive(Serialize)]
struct Patch<'a> {
    patch: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Selector<'a>>,
}

/// A text that is left out where it is empty.
type Text<'a> = Option<&'a str>;

#[allow(clippy::struct_field_names, reason = "they are the fields of the JSON whose digest is taken")]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Selector<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotation_selector: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_selector: Text<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Image<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_name: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_tag: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Text<'a>,
}

#[derive(Serialize)]
struct CommonMetadata<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
}

/// Returns the digest that Flux takes of `spec.postRenderers`; none where there are none.
pub fn post_renderers_digest(given: &[helm_release::PostRenderer]) -> Option<String> {
    if given.is_empty() {
        return None;
    }
    let kustomize = given.iter().map(|given| given.kustomize.as_ref().map(kustomize_of));
    digest(&kustomize.map(|kustomize| PostRenderer { kustomize }).collect::<Vec<_>>())
}

/// Returns the digest that Flux takes of `spec.commonMetadata`; none where there is none.
pub fn common_metadata_digest(common: Option<&meta::CommonMetadata>) -> Option<String> {
    let meta::CommonMetadata { annotations, labels } = common?;
    digest(&CommonMetadata { annotations, labels })
}

fn kustomize_of(given: &helm_release::Kustomize) -> Kustomize<'_> {
    let helm_release::Kustomize { images, patches } = given;
    Kustomize { patches: patches.iter().map(patch_of).collect(), images: images.iter().map(image_of).collect() }
}

fn filled(text: Option<&String>) -> Text<'_> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

fn patch_of(given: &kustomize::Patch) -> Patch<'_> {
    let kustomize::Patch { patch, target } = given;
    Patch { patch, target: target.as_ref().map(selector_of) }
}

fn selector_of(given: &kustomize::Selector) -> Selector<'_> {
    let kustomize::Selector { annotation_selector, group, kind, label_selector, name, namespace, version } = given;
    Selector {
        group: filled(group.as_ref()),
        version: filled(version.as_ref()),
        kind: filled(kind.as_ref()),
        namespace: filled(namespace.as_ref()),
        name: filled(name.as_ref()),
        annotation_selector: filled(annotation_selector.as_ref()),
        label_selector: filled(label_selector.as_ref()),
    }
}

fn image_of(given: &kustomize::Image) -> Image<'_> {
    let kustomize::Image { digest, name, new_name, new_tag } = given;
    Image {
        name,
        new_name: filled(new_name.as_ref()),
        new_tag: filled(new_tag.as_ref()),
        digest: filled(digest.as_ref()),
    }
}

/// The digest of a value's JSON as Go's encoder writes it: with HTML's characters escaped and a line break at the end.
fn digest(value: &impl Serialize) -> Option<String> {
    let mut text = serde_json::to_string(value).ok()?;
    for (character, escape) in
        [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u{2028}", "\\u2028"), ("\u{2029}", "\\u2029")]
    {
        text = text.replace(character, escape);
    }
    text.push('\n');
    Some(archive::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn digests_are_of_gos_json() {
        let given: Vec<helm_release::PostRenderer> = serde_json::from_value(json!([{ "kustomize": {
            "images": [{ "name": "a", "digest": "sha256:1", "newTag": "" }],
            "patches": [{ "patch": "a: <b>", "target": { "name": "n", "kind": "K" } }] } }, {}]))
        .unwrap();
        let text = concat!(
            r#"[{"kustomize":{"patches":[{"patch":"a: \u003cb\u003e","target":{"kind":"K","name":"n"}}],"#,
            r#""images":[{"name":"a","digest":"sha256:1"}]}},{}]"#,
            "\n"
        );
        assert_eq!(post_renderers_digest(&given), Some(archive::digest(text.as_bytes())));
        let common = meta::CommonMetadata { labels: [("a".to_owned(), "b&c".to_owned())].into(), ..Default::default() };
        let text = "{\"labels\":{\"a\":\"b\\u0026c\"}}\n";
        assert_eq!(common_metadata_digest(Some(&common)), Some(archive::digest(text.as_bytes())));
    }

    #[test]
    fn what_is_not_given_has_no_digest() {
        assert_eq!((post_renderers_digest(&[]), common_metadata_digest(None)), (None, None));
    }
}
