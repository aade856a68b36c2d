//! The objects that an applier keeps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The list of objects that were applied and not pruned since.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceInventory {
    /// The objects, one entry each.
    pub entries: Vec<ResourceRef>,
}

/// What is needed to find an applied object again.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRef {
    /// The object as `<namespace>_<name>_<group>_<kind>`.
    pub id: String,
    /// The API version that it was applied in.
    pub v: String,
}
