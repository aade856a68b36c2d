//! Registries: what an OCI reference names, pulled and checked by digest.
//!
//! | file | subject |
//! |---|---|
//! | [`name`] | repositories, tags and digests as registries' users write them |
//! | [`client`] | one repository of one registry: manifests, blobs, tags |
//! | [`refusal`] | what a registry says when it refuses |
//! | [`challenge`] | what a registry asks of those it does not know, and the answer |
//! | [`docker_config`] | the logins of a Docker configuration |
//! | [`manifest`] | manifests and their layers |
//! | [`layer`] | a layer's files, packed anew as an artifact |
//! | [`chart`](mod@chart) | Helm charts in a registry |

pub mod challenge;
pub mod chart;
pub mod client;
pub mod docker_config;
pub mod layer;
pub mod manifest;
pub mod name;
pub mod refusal;

pub use client::{OciError, Repository, Transport};
pub use docker_config::{DockerConfig, Login};
pub use manifest::{Descriptor, Manifest};
pub use name::{Digest, Name, Reference};
