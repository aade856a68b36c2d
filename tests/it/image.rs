//! What the image is built from.

use std::fs;

use crate::harness::programs::repository;

#[test]
fn every_member_of_the_workspace_is_there_when_the_image_is_built() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).unwrap();
    let (manifest, dockerfile, kept) = (read("Cargo.toml"), read("Dockerfile"), read(".dockerignore"));
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = [")?.strip_suffix(']')).unwrap();
    let members: Vec<&str> = members.split(", ").map(|member| member.trim_matches('"')).collect();
    assert!(members.contains(&"src/helm"), "{members:?}");
    for member in members.into_iter().filter(|member| *member != ".") {
        let folder = if member.starts_with("src/") { "src" } else { member };
        assert!(dockerfile.contains(&format!("\nCOPY {folder} {folder}\n")), "the Dockerfile does not copy {member}");
        assert!(kept.lines().any(|line| line.strip_prefix('!') == Some(folder)), ".dockerignore leaves out {member}");
    }
}
