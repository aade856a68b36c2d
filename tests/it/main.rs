//! The integration tests, in one binary: of what the tree holds, and of the whole against real servers and a control plane.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "the harness is one piece, and serves more than the tests of the day")]
mod harness;

mod apply_methods;
mod broken_inputs;
mod cases;
mod charts;
mod cluster_room;
mod control_plane;
mod crash;
mod crds;
mod drift;
mod environment;
mod expressions;
mod faults;
mod faulty;
mod git_fetch;
mod identity;
mod image;
mod kustomization;
mod layers;
mod merge_rules;
mod oci;
mod readme;
mod release_life;
mod rows;
mod sequences;
mod servers;
mod site;
mod steady_state;
mod takeover;
mod template_sources;
mod wire;
