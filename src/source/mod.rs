//! From a reference to verified bytes, and the artifact store.
//!
//! Nothing here knows a cluster: what a Secret holds comes in as data.
//!
//! | file | subject |
//! |---|---|
//! | [`git`] | a Git reference to an archive, in a child process with limits |
//! | [`http`] | the one policy for outbound HTTP: redirects, credentials, sizes, times |
//! | [`helm_repository`] | a Helm repository's index and packages over HTTP |
//! | [`oci`] | registries: manifests, blobs and tags, charts and other artifacts |
//! | [`index`] | `index.yaml`: small in memory, versions resolved |
//! | [`chart`](mod@chart) | the chart of a HelmChart, pulled or packaged |
//! | [`archive`] | the deterministic `tar.gz` of artifacts, and bounded reading |
//! | [`ignore`] | `.sourceignore` and `spec.ignore` |
//! | [`store`] | artifacts on disk, verified, shared in memory, collected |
//! | [`server`] | artifacts over HTTP |
//! | [`secret`] | what must not be shown |

pub mod archive;
pub mod chart;
pub mod git;
pub mod helm_repository;
pub mod http;
pub mod ignore;
pub mod index;
pub mod oci;
pub mod secret;
pub mod server;
pub mod store;
pub mod version;
