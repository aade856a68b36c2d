//! Kustomize's change of images: in every list of containers, wherever it is, and in volumes.

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::{api::kustomize::Image, cluster::object};

/// The largest compiled form of an image's name, which is a regular expression, in bytes.
const REGEX_LIMIT: usize = 1 << 20;
/// The kind whose schema is left alone.
const DEFINITION: &str = "CustomResourceDefinition";
/// Where images are looked for beside lists of containers.
const VOLUMES: [&[&str]; 2] = [&["spec", "volumes"], &["spec", "template", "spec", "volumes"]];

/// Why an image cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the name of image {name} is no regular expression")]
    Name {
        name: String,
        #[source]
        source: regex::Error,
    },
    #[error("the image of a container is no text: {0}")]
    NoText(String),
}

/// A change of an image that is ready to be made.
pub struct Change<'a> {
    image: &'a Image,
    name: Regex,
}

impl<'a> Change<'a> {
    /// Reads a change.
    pub fn of(image: &'a Image) -> Result<Self, Error> {
        let pattern = format!("^{}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$", image.name);
        let name = RegexBuilder::new(&pattern).size_limit(REGEX_LIMIT).build();
        name.map(|name| Self { image, name }).map_err(|source| Error::Name { name: image.name.clone(), source })
    }

    /// Makes the change in an object.
    pub fn apply(&self, tree: &mut Value) -> Result<(), Error> {
        if object::kind(tree) == Some(DEFINITION) {
            return Ok(());
        }
        self.containers(tree)?;
        for path in VOLUMES {
            let volumes = path.iter().try_fold(&mut *tree, |at, key| at.get_mut(*key));
            for volume in volumes.and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(reference) = volume.get_mut("image").and_then(|image| image.get_mut("reference")) {
                    self.set(reference)?;
                }
            }
        }
        Ok(())
    }

    fn containers(&self, value: &mut Value) -> Result<(), Error> {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    self.containers(value)?;
                    if matches!(key.as_str(), "containers" | "initContainers")
                        && let Value::Array(containers) = value
                    {
                        for image in containers.iter_mut().filter_map(|container| container.get_mut("image")) {
                            self.set(image)?;
                        }
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.containers(item)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn set(&self, image: &mut Value) -> Result<(), Error> {
        match image {
            Value::String(text) => {
                if self.name.is_match(text) {
                    *text = self.changed(text);
                }
                Ok(())
            }
            Value::Object(_) | Value::Array(_) => Err(Error::NoText(image.to_string())),
            _ => Ok(()),
        }
    }

    fn changed(&self, text: &str) -> String {
        let filled = |text: &'a Option<String>| text.as_deref().filter(|text| !text.is_empty());
        let (name, mut tag, mut digest) = split(text);
        match (filled(&self.image.new_tag), filled(&self.image.digest)) {
            (None, None) => {}
            (new_tag, new_digest) => (tag, digest) = (new_tag.unwrap_or_default(), new_digest.unwrap_or_default()),
        }
        let mut changed = filled(&self.image.new_name).unwrap_or(name).to_owned();
        for (mark, part) in [(':', tag), ('@', digest)].into_iter().filter(|(_, part)| !part.is_empty()) {
            changed.push(mark);
            changed.push_str(part);
        }
        changed
    }
}

/// Splits an image's name, tag and digest; a colon in front of the first slash is of a port.
fn split(image: &str) -> (&str, &str, &str) {
    let start = image.find('/').unwrap_or(0);
    let at = image[start..].find('@').map(|at| at + start);
    let colon = image[start..].find(':').map(|at| at + start);
    match (colon, at) {
        (None, None) => (image, "", ""),
        (Some(colon), Some(at)) if colon < at => (&image[..colon], &image[colon + 1..at], &image[at + 1..]),
        (_, Some(at)) => (&image[..at], "", &image[at + 1..]),
        (Some(colon), None) => (&image[..colon], &image[colon + 1..], ""),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn image(new_name: &str, new_tag: &str, digest: &str) -> Image {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let (new_name, new_tag, digest) = (some(new_name), some(new_tag), some(digest));
        Image { name: "reg:5000/a/b".to_owned(), new_name, new_tag, digest }
    }

    #[test]
    fn name_tag_and_digest_are_replaced() {
        for (change, before, after) in [
            (image("", "2", ""), "reg:5000/a/b:1", "reg:5000/a/b:2"),
            (image("", "2", ""), "reg:5000/a/b", "reg:5000/a/b:2"),
            (image("", "", "sha256:f"), "reg:5000/a/b:1", "reg:5000/a/b@sha256:f"),
            (image("", "2", "sha256:f"), "reg:5000/a/b:1@sha256:e", "reg:5000/a/b:2@sha256:f"),
            (image("c", "", ""), "reg:5000/a/b:1@sha256:e", "c:1@sha256:e"),
            (image("c", "2", ""), "reg:5000/a/b@sha256:e", "c:2"),
            (image("c", "2", ""), "reg:5000/a/bc:1", "reg:5000/a/bc:1"),
        ] {
            let mut tree = json!({ "spec": { "initContainers": [{ "image": before }, {}] } });
            Change::of(&change).unwrap().apply(&mut tree).unwrap();
            assert_eq!(tree["spec"]["initContainers"][0]["image"], after, "{change:?}");
        }
    }

    #[test]
    fn an_image_is_found_in_any_list_of_containers_and_in_volumes() {
        let change = image("", "2", "");
        let change = Change::of(&change).unwrap();
        let mut tree = json!({ "kind": "Any", "deep": [{ "containers": [{ "image": "reg:5000/a/b" }] }],
            "spec": { "volumes": [{ "image": { "reference": "reg:5000/a/b" } }] }, "containers": { "image": "reg:5000/a/b" } });
        change.apply(&mut tree).unwrap();
        assert_eq!(tree["deep"][0]["containers"][0]["image"], "reg:5000/a/b:2");
        assert_eq!(tree["spec"]["volumes"][0]["image"]["reference"], "reg:5000/a/b:2");
        assert_eq!(tree["containers"]["image"], "reg:5000/a/b");
        let mut definition = json!({ "kind": "CustomResourceDefinition", "containers": [{ "image": "reg:5000/a/b" }] });
        let before = definition.clone();
        change.apply(&mut definition).unwrap();
        assert_eq!(definition, before);
    }
}
