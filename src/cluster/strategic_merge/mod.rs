//! Strategic merge: how the lists and maps of Kubernetes' own kinds are merged, where JSON merge would replace them.

pub mod rules;
pub mod three_way;
