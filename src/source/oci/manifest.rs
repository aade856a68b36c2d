//! Manifests: what an artifact is made of.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What is accepted of a registry, as the value of `Accept`.
pub const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json";
/// The platform whose manifest is taken of an index, as in Flux.
const PLATFORM: (&str, &str) = ("linux", "amd64");

/// Names a blob or a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// The digest.
    pub digest: String,
    /// Its size in bytes.
    #[serde(default)]
    pub size: u64,
    /// Which platform it is for, in an index.
    #[serde(default)]
    pub platform: Option<Platform>,
}

/// A platform.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// The operating system.
    #[serde(default)]
    pub os: String,
    /// The processor.
    #[serde(default)]
    pub architecture: String,
}

/// A manifest, or an index of manifests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The configuration.
    #[serde(default)]
    pub config: Option<Descriptor>,
    /// The layers, in order.
    #[serde(default)]
    pub layers: Option<Vec<Descriptor>>,
    /// The manifests of an index.
    #[serde(default)]
    pub manifests: Option<Vec<Descriptor>>,
    /// What its maker says of it.
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
}

impl Manifest {
    /// True for an index.
    pub fn is_index(&self) -> bool {
        self.manifests.is_some() && self.config.is_none()
    }

    /// Finds the manifest of an index that is for the usual platform.
    pub fn for_platform(&self) -> Option<&Descriptor> {
        let is_wanted = |platform: &Platform| (platform.os.as_str(), platform.architecture.as_str()) == PLATFORM;
        self.manifests.iter().flatten().find(|entry| entry.platform.as_ref().is_none_or(is_wanted))
    }

    /// Finds the layer of a media type, or the first of all; the error has Flux's words.
    pub fn layer(&self, media_type: Option<&str>) -> Result<&Descriptor, String> {
        let layers = self.layers.as_deref().unwrap_or_default();
        let first = layers.first().ok_or("no layers found in artifact")?;
        match media_type {
            None => Ok(first),
            Some(wanted) => layers
                .iter()
                .find(|layer| layer.media_type == wanted)
                .ok_or_else(|| format!("failed to find layer with media type '{wanted}' in artifact")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_first_layer_or_that_of_the_media_type_is_taken() {
        let two = manifest(
            r#"{"config": {"digest": "c"}, "layers": [{"mediaType": "a", "digest": "1"}, {"mediaType": "b", "digest": "2"},
                {"mediaType": "b", "digest": "3"}]}"#,
        );
        assert_eq!(two.layer(None).unwrap().digest, "1");
        assert_eq!(two.layer(Some("b")).unwrap().digest, "2");
        let missing = two.layer(Some("application/invalid.tar.gzip")).unwrap_err();
        assert_eq!(missing, "failed to find layer with media type 'application/invalid.tar.gzip' in artifact");
        assert_eq!(manifest(r#"{"layers": []}"#).layer(None).unwrap_err(), "no layers found in artifact");
    }

    #[test]
    fn an_index_has_a_manifest_for_the_usual_platform() {
        let index = manifest(
            r#"{"manifests": [{"digest": "1", "platform": {"os": "linux", "architecture": "arm64"}},
                {"digest": "2", "platform": {"os": "linux", "architecture": "amd64"}}]}"#,
        );
        assert!(index.is_index());
        assert_eq!(index.for_platform().unwrap().digest, "2");
        let other = manifest(r#"{"manifests": [{"digest": "1", "platform": {"os": "windows"}}]}"#);
        assert_eq!(other.for_platform(), None);
    }
}
