//! What a chart is told about the cluster and about Helm: `.Capabilities`.

use std::sync::{Arc, LazyLock};

/// The API versions that Helm 4.3.1 assumes without a cluster: those of its client library, in its order.
const DEFAULT_API_VERSIONS: &[&str] = &[
    "v1",
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1alpha1",
    "admissionregistration.k8s.io/v1beta1",
    "internal.apiserver.k8s.io/v1alpha1",
    "apps/v1",
    "apps/v1beta1",
    "apps/v1beta2",
    "authentication.k8s.io/v1",
    "authentication.k8s.io/v1alpha1",
    "authentication.k8s.io/v1beta1",
    "authorization.k8s.io/v1",
    "authorization.k8s.io/v1beta1",
    "autoscaling/v1",
    "autoscaling/v2",
    "batch/v1",
    "batch/v1beta1",
    "certificates.k8s.io/v1",
    "certificates.k8s.io/v1beta1",
    "certificates.k8s.io/v1alpha1",
    "coordination.k8s.io/v1alpha2",
    "coordination.k8s.io/v1beta1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "discovery.k8s.io/v1beta1",
    "events.k8s.io/v1",
    "events.k8s.io/v1beta1",
    "extensions/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1beta2",
    "flowcontrol.apiserver.k8s.io/v1beta3",
    "lifecycle.k8s.io/v1alpha1",
    "networking.k8s.io/v1",
    "networking.k8s.io/v1beta1",
    "node.k8s.io/v1",
    "node.k8s.io/v1alpha1",
    "node.k8s.io/v1beta1",
    "policy/v1",
    "policy/v1beta1",
    "rbac.authorization.k8s.io/v1",
    "rbac.authorization.k8s.io/v1beta1",
    "rbac.authorization.k8s.io/v1alpha1",
    "resource.k8s.io/v1",
    "resource.k8s.io/v1beta2",
    "resource.k8s.io/v1beta1",
    "resource.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1beta1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1beta1",
    "storage.k8s.io/v1",
    "storage.k8s.io/v1alpha1",
    "storagemigration.k8s.io/v1",
    "storagemigration.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1",
];

/// What a chart is told about the cluster. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    pub kube_version: KubeVersion,
    /// `group/version`, and from a cluster also `group/version/Kind`.
    pub api_versions: Arc<[String]>,
}

impl Default for Capabilities {
    /// What `helm template` of 4.3.1 assumes.
    fn default() -> Self {
        static VERSIONS: LazyLock<Arc<[String]>> =
            LazyLock::new(|| DEFAULT_API_VERSIONS.iter().map(|version| (*version).to_string()).collect());
        let kube_version = KubeVersion {
            version: "v1.37.0".to_string(),
            normalized: "v1.37.0".to_string(),
            major: "1".to_string(),
            minor: "37".to_string(),
        };
        Self { kube_version, api_versions: VERSIONS.clone() }
    }
}

impl Capabilities {
    /// Adds API versions behind those that are there.
    #[must_use]
    pub fn with_api_versions(mut self, added: &[String]) -> Self {
        if !added.is_empty() {
            self.api_versions = self.api_versions.iter().chain(added).cloned().collect();
        }
        self
    }
}

/// A version of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeVersion {
    /// With a `v` and all suffixes: `v1.33.4-gke.1245000`.
    pub version: String,
    /// Without suffixes, for constraints; empty for what a cluster reports, whose full version is compared.
    pub normalized: String,
    pub major: String,
    pub minor: String,
}

/// Why a version of Kubernetes was refused; the texts are apimachinery's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubeVersionError {
    #[error("could not parse {} as version", crate::quote::quote(.0))]
    NoVersion(String),
    #[error("illegal version string {}", crate::quote::quote(.0))]
    Illegal(String),
    #[error("illegal zero-prefixed version component {} in {}", crate::quote::quote(.component), crate::quote::quote(.version))]
    ZeroPrefixed { component: String, version: String },
    #[error(
        "illegal non-numeric version component {0} in {1}: strconv.ParseUint: parsing {0}: value out of range",
        crate::quote::quote(.component), crate::quote::quote(.version)
    )]
    OutOfRange { component: String, version: String },
}

impl KubeVersion {
    /// Reads `--kube-version`: two or more numbers, with whatever behind them.
    pub fn parse(text: &str) -> Result<Self, KubeVersionError> {
        let body = text.trim_matches(['\t', '\n', '\x0b', '\x0c', '\r', ' ']);
        let body = body.strip_prefix('v').unwrap_or(body);
        let end = body.bytes().position(|b| !b.is_ascii_digit() && b != b'.').unwrap_or(body.len());
        // What matches is numbers with single dots between them.
        let numbers = body[..end].split("..").next().unwrap_or("").trim_end_matches('.');
        if numbers.is_empty() || numbers.starts_with('.') {
            return Err(KubeVersionError::NoVersion(text.to_string()));
        }
        let parts: Vec<&str> = numbers.split('.').collect();
        if parts.len() < 2 {
            return Err(KubeVersionError::Illegal(text.to_string()));
        }
        let named = |part: &str| (part.to_string(), text.to_string());
        if parts[0].len() > 1 && parts[0].starts_with('0') {
            let (component, version) = named(parts[0]);
            return Err(KubeVersionError::ZeroPrefixed { component, version });
        }
        let number = |part: &&str| {
            part.parse::<u64>().map_err(|_| {
                let (component, version) = named(part);
                KubeVersionError::OutOfRange { component, version }
            })
        };
        let values = parts.iter().map(number).collect::<Result<Vec<_>, _>>()?;
        let version = if text.starts_with('v') { text.to_string() } else { format!("v{text}") };
        Ok(Self {
            version,
            normalized: format!("v{}", values.iter().map(u64::to_string).collect::<Vec<_>>().join(".")),
            major: values[0].to_string(),
            minor: values[1].to_string(),
        })
    }

    /// Returns the version that `kubeVersion` of a chart is compared with.
    pub fn comparable(&self) -> &str {
        if self.normalized.is_empty() { &self.version } else { &self.normalized }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kube_version_keeps_its_suffix_and_is_compared_without() {
        let version = KubeVersion::parse("1.21.5-gke.100").unwrap();
        assert_eq!((version.version.as_str(), version.comparable()), ("v1.21.5-gke.100", "v1.21.5"));
        assert_eq!((version.major.as_str(), version.minor.as_str()), ("1", "21"));
        assert_eq!(KubeVersion::parse("v1.25").unwrap().comparable(), "v1.25");
        assert_eq!(KubeVersion::parse("1.30.x").unwrap().comparable(), "v1.30");
    }

    #[test]
    fn a_refused_kube_version_says_why() {
        for (text, expected) in [
            ("latest", "could not parse \"latest\" as version"),
            ("1", "illegal version string \"1\""),
            ("01.5", "illegal zero-prefixed version component \"01\" in \"01.5\""),
        ] {
            assert_eq!(KubeVersion::parse(text).unwrap_err().to_string(), expected);
        }
    }
}
