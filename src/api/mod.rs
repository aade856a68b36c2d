//! Wire types as users write them: Flux's groups and versions, conditions, references, durations, and the CRDs made
//! from them.
//!
//! One file a kind. A field is optional in Rust exactly when it is optional on the wire; what the CRD gives a default
//! is a plain field with the same default. Values of closed sets that this version does not know are kept as
//! `Unknown(text)`, and a malformed duration as `Malformed(text)`: one object that another version wrote never keeps
//! the others of its list from being read.

#![allow(clippy::duplicated_attributes, reason = "each printer column has a type, and several have the same")]
#![allow(
    clippy::doc_markdown,
    reason = "the comments are the CRDs' descriptions too, where back quotes would only disturb"
)]

#[macro_use]
mod closed_set;
pub mod artifact;
pub mod bucket;
pub mod conditions;
mod crds;
pub mod duration;
pub mod git_repository;
pub mod helm_chart;
pub mod helm_release;
pub mod helm_repository;
pub mod image_policy;
pub mod image_repository;
pub mod image_update_automation;
pub mod inventory;
pub mod kustomization;
pub mod kustomize;
pub mod meta;
pub mod oci_repository;
pub mod reasons;
mod schema;

pub use self::{
    artifact::Artifact,
    bucket::{Bucket, BucketSpec, BucketStatus},
    crds::crds,
    duration::Duration,
    git_repository::{GitRepository, GitRepositorySpec, GitRepositoryStatus},
    helm_chart::{HelmChart, HelmChartSpec, HelmChartStatus},
    helm_release::{HelmRelease, HelmReleaseSpec, HelmReleaseStatus, Snapshot},
    helm_repository::{HelmRepository, HelmRepositorySpec, HelmRepositoryStatus},
    image_policy::{ImagePolicy, ImagePolicySpec, ImagePolicyStatus},
    image_repository::{ImageRepository, ImageRepositorySpec, ImageRepositoryStatus},
    image_update_automation::{ImageUpdateAutomation, ImageUpdateAutomationSpec, ImageUpdateAutomationStatus},
    kustomization::{Kustomization, KustomizationSpec, KustomizationStatus},
    oci_repository::{OCIRepository, OCIRepositorySpec, OCIRepositoryStatus},
};
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
