//! OCIRepository: a source in a registry.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    artifact::Artifact, duration, duration::Duration, helm_chart::ChartVerificationProvider,
    meta::LocalObjectReference, schema,
};

/// Which artifact of which registry, and which of its layers.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "source.toolkit.fluxcd.io",
    version = "v1",
    kind = "OCIRepository",
    plural = "ocirepositories",
    namespaced,
    status = "OCIRepositoryStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Makes artifacts of an OCI artifact in a registry.",
    annotation("kustomize.toolkit.fluxcd.io/substitute", "disabled"),
    shortname = "ocirepo",
    category = "all",
    category = "fluxcd",
    category = "fluxcd-sources",
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Status", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct OCIRepositorySpec {
    /// The Secret with the client certificate and the CA: tls.crt, tls.key, ca.crt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<LocalObjectReference>,
    /// Patterns in gitignore's syntax of files to leave out, in place of the built-in ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore: Option<String>,
    /// Takes plain HTTP.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub insecure: bool,
    /// The time between two looks at the registry.
    pub interval: Duration,
    /// The layer to take; the first, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_selector: Option<OCILayerSelector>,
    /// Whose way of authentication is used.
    #[serde(default)]
    pub provider: OCIProvider,
    /// The Secret with the proxy's address and credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_secret_ref: Option<LocalObjectReference>,
    /// The revision; the tag `latest`, if not given.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<OCIRepositoryRef>,
    /// The Secret with the credentials, of type kubernetes.io/dockerconfigjson.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// The ServiceAccount whose image pull secrets, or whose cloud identity, is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Leaves the source alone.
    #[serde(default, skip_serializing_if = "schema::is_false")]
    pub suspend: bool,
    /// How long an operation on the registry may take.
    #[serde(default = "schema::one_minute")]
    #[schemars(extend("pattern" = duration::PATTERN_WITHOUT_HOURS, "default" = "60s"))]
    pub timeout: Duration,
    /// The repository in the registry, as `oci://host/path`.
    #[schemars(regex(pattern = "^oci://.*$"))]
    pub url: String,
    /// Which signatures must verify.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<OCIRepositoryVerification>,
}

closed_set! {
    /// Whose way of authentication at a registry is used.
    OCIProvider {
        /// Credentials of the Secret.
        #[default]
        Generic = "generic",
        /// Amazon.
        Aws = "aws",
        /// Azure.
        Azure = "azure",
        /// Google.
        Gcp = "gcp",
    }
}

closed_set! {
    /// What is done with the selected layer.
    OCILayerOperation {
        /// It is unpacked.
        #[default]
        Extract = "extract",
        /// It is kept as it is.
        Copy = "copy",
    }
}

/// Selects a layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OCILayerSelector {
    /// The layer's media type; the first one of it is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What is done with the layer; `extract`, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OCILayerOperation>,
}

/// Names a revision: digest before semver before tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OCIRepositoryRef {
    /// The digest, as `sha256:hex`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The range of versions whose highest tag is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semver: Option<String>,
    /// A regular expression that tags must match before the range counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semver_filter: Option<String>,
    /// The tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// Which signatures must verify.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("required" = ["provider"]))]
pub struct OCIRepositoryVerification {
    /// Who may have signed, when no keys are given; any one is enough.
    #[serde(default, rename = "matchOIDCIdentity", skip_serializing_if = "Vec::is_empty")]
    pub match_oidc_identity: Vec<OIDCIdentityMatch>,
    /// The technology of the signature.
    #[serde(default)]
    pub provider: ChartVerificationProvider,
    /// The Secret with the public keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// The Secret with the trusted root of a Sigstore instance of one's own: trusted_root.json.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_root_secret_ref: Option<LocalObjectReference>,
}

/// Names signers by regular expressions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OIDCIdentityMatch {
    /// What the issuer of the certificate's identity must match.
    pub issuer: String,
    /// What the subject of the certificate must match.
    pub subject: String,
}

/// What was read, and how it went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OCIRepositoryStatus {
    /// The last artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// How the source stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The last value of the reconcile annotation that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The generation that was reconciled last; -1 before the first time.
    #[serde(default, skip_serializing_if = "schema::is_zero")]
    pub observed_generation: i64,
    /// The ignore patterns that the last artifact was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_ignore: Option<String>,
    /// The layer selector that the last artifact was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_layer_selector: Option<OCILayerSelector>,
    /// Where the latest artifact is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}
