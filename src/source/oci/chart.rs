//! Helm charts in a registry: which versions there are, and a chart's package.

use helm::semver::{Constraints, Version};

use super::client::{OciError, Repository};
use super::manifest::{Descriptor, Manifest};
use super::name::{Digest, NameError, Reference};
use crate::source::helm_repository::MAX_CHART;
use crate::source::version::three_part_version;

/// The media type of a chart's metadata.
pub const CONFIG_MEDIA_TYPE: &str = "application/vnd.cncf.helm.config.v1+json";
/// The media type of a chart's package.
pub const LAYER_MEDIA_TYPE: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// What Helm's first versions with registries called a package.
pub const LEGACY_LAYER_MEDIA_TYPE: &str = "application/tar+gzip";
/// How many manifests of an index are looked at for a chart.
const MAX_MANIFESTS: usize = 32;

/// Why there is no chart. The texts are Helm's.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// The registry gave nothing.
    #[error(transparent)]
    Registry(#[from] OciError),
    /// The repository holds something else.
    #[error("could not load config with mediatype {CONFIG_MEDIA_TYPE}")]
    NoConfig,
    /// The manifest names no package.
    #[error("manifest does not contain a layer with mediatype {LAYER_MEDIA_TYPE}")]
    NoLayer,
    /// The manifest names next to nothing.
    #[error("manifest does not contain minimum number of descriptors (2), descriptors found: {0}")]
    TooFew(usize),
}

/// A chart that was pulled.
#[derive(Debug)]
pub struct Pulled {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The package.
    pub bytes: Vec<u8>,
    /// The package's media type is one that Helm has given up.
    pub is_legacy: bool,
}

/// Lists the versions that a repository's tags stand for, the highest first; an underscore stands for a plus.
pub async fn versions(repository: &Repository) -> Result<Vec<Version>, OciError> {
    let tags = repository.tags().await?;
    let mut versions: Vec<Version> =
        tags.iter().filter_map(|tag| Version::parse_strict(&tag.replace('_', "+")).ok()).collect();
    versions.sort_by(|a, b| b.cmp(a));
    Ok(versions)
}

/// Makes a version the tag that it is pushed as.
pub fn tag(version: &str) -> Result<Reference, NameError> {
    Reference::tag(&version.replace('+', "_"))
}

/// Chooses the version that is asked for: the very one, else the highest within the range. The error is Flux's.
pub fn choose(versions: &[Version], wanted: &str) -> Result<String, String> {
    if let Some(exact) = versions.iter().map(ToString::to_string).find(|version| version == wanted) {
        return Ok(exact);
    }
    let range = if wanted.is_empty() { "*" } else { wanted };
    let range = Constraints::parse(range).map_err(|error| error.to_string())?;
    let mut matching: Vec<&Version> = versions
        .iter()
        .filter(|version| three_part_version(&version.to_string()).is_some() && range.check(version))
        .collect();
    matching.sort();
    let newest = matching.last().map(ToString::to_string);
    newest.ok_or_else(|| format!("could not locate a version matching provided version string {wanted}"))
}

/// Pulls a chart's package.
pub async fn pull(repository: &Repository, reference: &Reference) -> Result<Pulled, ChartError> {
    let (manifest, digest, _) = repository.manifest(reference).await?;
    let manifest = if manifest.is_index() { chart_of_index(repository, &manifest).await? } else { manifest };
    let layer = package(&manifest)?;
    let bytes = repository.blob(layer, MAX_CHART).await?;
    Ok(Pulled { digest, bytes, is_legacy: layer.media_type == LEGACY_LAYER_MEDIA_TYPE })
}

/// Finds the first manifest of an index that is a chart's.
async fn chart_of_index(repository: &Repository, index: &Manifest) -> Result<Manifest, ChartError> {
    for entry in index.manifests.iter().flatten().take(MAX_MANIFESTS) {
        let reference = Reference::Digest(Digest::parse(&entry.digest).map_err(OciError::from)?);
        let (manifest, ..) = repository.manifest(&reference).await?;
        if is_chart(&manifest) {
            return Ok(manifest);
        }
    }
    Err(ChartError::NoConfig)
}

fn is_chart(manifest: &Manifest) -> bool {
    manifest.config.as_ref().is_some_and(|config| config.media_type == CONFIG_MEDIA_TYPE)
}

fn package(manifest: &Manifest) -> Result<&Descriptor, ChartError> {
    let is_package =
        |layer: &&Descriptor| matches!(layer.media_type.as_str(), LAYER_MEDIA_TYPE | LEGACY_LAYER_MEDIA_TYPE);
    let layer = manifest.layers.iter().flatten().rfind(is_package);
    // The manifest itself counts for Helm.
    let found = 1 + usize::from(is_chart(manifest)) + usize::from(layer.is_some());
    if found < 2 {
        return Err(ChartError::TooFew(found));
    }
    if !is_chart(manifest) {
        return Err(ChartError::NoConfig);
    }
    layer.ok_or(ChartError::NoLayer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(tags: &[&str], wanted: &str) -> Result<String, String> {
        let mut versions: Vec<Version> = tags.iter().map(|tag| Version::parse_strict(tag).unwrap()).collect();
        versions.sort_by(|a, b| b.cmp(a));
        choose(&versions, wanted)
    }

    #[test]
    fn the_very_version_or_the_highest_in_the_range_is_chosen() {
        let tags = ["0.0.1", "0.1.0", "0.10.0", "0.2.0", "1.0.0", "1.1.0-rc.1"];
        for (wanted, expected) in [
            ("", "1.0.0"),
            ("*", "1.0.0"),
            ("0.2.x", "0.2.0"),
            ("0.1.0", "0.1.0"),
            ("0.*", "0.10.0"),
            (">=1.0.0-0", "1.1.0-rc.1"),
        ] {
            assert_eq!(chosen(&tags, wanted).as_deref(), Ok(expected), "{wanted}");
        }
        let none = "could not locate a version matching provided version string >2.0.0";
        assert_eq!(chosen(&tags, ">2.0.0").unwrap_err(), none);
        assert!(chosen(&tags, "what").is_err());
    }

    #[test]
    fn a_plus_is_an_underscore_in_a_tag() {
        assert_eq!(tag("1.0.0+build.1").unwrap(), Reference::Tag("1.0.0_build.1".into()));
    }

    #[tokio::test]
    async fn a_chart_within_an_index_is_found() {
        use std::collections::HashMap;
        use std::time::Duration;

        use axum::Router;
        use axum::http::{StatusCode, Uri};
        use serde_json::json;

        use crate::source::http::Tls;
        use crate::source::oci::{Name, Transport};

        let digest = |bytes: &[u8]| Digest::of(bytes).to_string();
        let layer = json!({ "mediaType": LEGACY_LAYER_MEDIA_TYPE, "digest": digest(b"package"), "size": 7 });
        let config = |media_type: &str| json!({ "mediaType": media_type, "digest": digest(b"") });
        let image = json!({ "config": config("x"), "layers": [layer] }).to_string();
        let chart = json!({ "config": config(CONFIG_MEDIA_TYPE), "layers": [layer] }).to_string();
        let entries = [image.as_str(), chart.as_str()].map(|manifest| json!({ "digest": digest(manifest.as_bytes()) }));
        let index = json!({ "manifests": entries });
        let mut content = HashMap::from([("/v2/app/manifests/1".to_owned(), index.to_string())]);
        content.insert(format!("/v2/app/blobs/{}", digest(b"package")), "package".to_owned());
        for manifest in [image, chart] {
            content.insert(format!("/v2/app/manifests/{}", digest(manifest.as_bytes())), manifest);
        }
        let answer = move |uri: Uri| {
            let found = content.get(uri.path()).cloned();
            async move { found.ok_or(StatusCode::NOT_FOUND) }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = Name::parse(&format!("{}/app", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        let repository =
            Repository::new(name, Transport::Plain, None, &Tls::default(), Duration::from_secs(5)).unwrap();
        let pulled = pull(&repository, &tag("1").unwrap()).await.unwrap();
        assert_eq!((pulled.bytes.as_slice(), pulled.is_legacy), (b"package".as_slice(), true));
        assert!(matches!(pull(&repository, &tag("2").unwrap()).await, Err(ChartError::Registry(_))));
    }

    #[test]
    fn what_is_no_chart_is_said() {
        let error = |text: &str| package(&serde_json::from_str(text).unwrap()).unwrap_err().to_string();
        assert_eq!(
            error(r#"{"config": {"mediaType": "x", "digest": "a"}, "layers": []}"#),
            "manifest does not contain minimum number of descriptors (2), descriptors found: 1"
        );
        let config = format!(r#"{{"mediaType": "{CONFIG_MEDIA_TYPE}", "digest": "a"}}"#);
        assert!(error(&format!(r#"{{"config": {config}}}"#)).contains("a layer with mediatype"));
        let layer = format!(r#"{{"mediaType": "{LAYER_MEDIA_TYPE}", "digest": "a"}}"#);
        let other = r#"{"mediaType": "x", "digest": "a"}"#;
        assert!(error(&format!(r#"{{"config": {other}, "layers": [{layer}]}}"#)).contains("could not load config"));
    }
}
