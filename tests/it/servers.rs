//! The servers of the harness are real ones: the real clients understand them, and they misbehave as told.

use std::{fs, path::Path, process::Command};

use crate::harness::{
    cluster::helm_offline,
    git::{GitRemote, GitServer, Manner},
    helm_repository::HelmRepository,
    programs::{program, run},
    registry::Registry,
    ssh::SshServer,
};

fn git() -> Command {
    let mut command = Command::new(program("git"));
    command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command
}

fn remote() -> GitRemote {
    let remote = GitRemote::new();
    remote.write("staging/a.yaml", "a: 1\n");
    remote.push("first");
    remote
}

fn chart(dir: &Path) {
    fs::create_dir_all(dir.join("templates")).expect("a folder can be made");
    fs::write(dir.join("Chart.yaml"), "apiVersion: v2\nname: small\nversion: 0.1.0\n").expect("a file can be written");
    fs::write(dir.join("templates/a.yaml"), "kind: ConfigMap\n").expect("a file can be written");
}

#[test]
fn git_over_http_serves_a_shallow_clone_and_asks_for_credentials() {
    let (remote, clone) = (remote(), tempfile::tempdir().expect("a folder can be made"));
    let open = GitServer::serve(&remote);
    run(git().args(["clone", "--depth=1", &open.url()]).arg(clone.path().join("open"))).expect("the clone succeeds");
    assert_eq!(fs::read_to_string(clone.path().join("open/staging/a.yaml")).expect("it is there"), "a: 1\n");
    assert!(open.looks() >= 1 && open.fetches() >= 1, "requests are counted");

    let closed = GitServer::serve_to(&remote, Some(("deploy", "secret")));
    let said = run(git().args(["ls-remote", &closed.url()])).expect_err("nobody may read it without credentials");
    assert!(said.contains("could not read Username"), "{said}");
    let known = closed.url().replace("://", "://deploy:secret@");
    assert!(run(git().args(["ls-remote", &known])).expect("these credentials are good").contains("refs/heads/main"));
}

#[test]
fn a_git_server_misbehaves_as_told_and_can_go_and_come_back() {
    let remote = remote();
    let mut server = GitServer::serve(&remote);
    let server_url = server.url();
    // 124 is the exit status of a command that was not done in time.
    let look = || {
        let mut command = Command::new("timeout");
        command.arg("2").arg(program("git")).args(["ls-remote", &server_url]).env("GIT_TERMINAL_PROMPT", "0");
        command.output().expect("git can be run").status.code().expect("it was not killed")
    };
    server.behave(Manner::Hang);
    assert_eq!(look(), 124, "it hangs");
    server.behave(Manner::HangMidway);
    assert_eq!(look(), 124, "it hangs midway");
    server.behave(Manner::Short);
    assert_eq!(look(), 128, "it sends less than it announces");
    server.behave(Manner::Fail(503));
    assert_eq!(look(), 128, "it fails");
    server.behave(Manner::Honest);
    server.stop();
    assert_eq!(look(), 128, "it is gone");
    server.start_again();
    assert_eq!(look(), 0, "it is back");
    server.behave(Manner::Endless);
    assert_eq!(look(), 0, "its references have an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn git_over_ssh_accepts_the_deploy_key_of_a_known_host() {
    let remote = remote();
    let server = SshServer::start().await;
    let known_hosts = tempfile::NamedTempFile::new().expect("a file can be made");
    let ssh = format!(
        "ssh -F none -i {} -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile={}",
        server.identity_path().display(),
        known_hosts.path().display()
    );
    let mut command = git();
    command.env("GIT_SSH_COMMAND", ssh).args(["ls-remote", &server.url(&remote)]);
    assert!(run(&mut command).expect_err("the host is not known yet").contains("Host key verification failed"));
    fs::write(known_hosts.path(), server.known_hosts()).expect("a file can be written");
    assert!(run(&mut command).expect("host and key are known").contains("refs/heads/main"));
    assert!(server.identity().contains("OPENSSH PRIVATE KEY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_helm_reads_the_repository_and_the_registry() {
    let dir = tempfile::tempdir().expect("a folder can be made");
    chart(&dir.path().join("small"));
    let into = dir.path().to_str().expect("the path is text");
    let repository = HelmRepository::start_for(Some(("reader", "secret")));
    let package = repository.add(&dir.path().join("small"), "1.2.3");
    assert!(package.ends_with("small-1.2.3.tgz") && package.exists(), "{}", package.display());
    let credentials = ["--username", "reader", "--password", "secret"];
    let pull = ["pull", "small", "--repo", &repository.url(), "--version", "~1.2.0", "--destination", into];
    helm_offline(&[&pull[..], &credentials[..]].concat());
    assert!(dir.path().join("small-1.2.3.tgz").exists());
    let said = run(Command::new(program("helm")).args(pull)).expect_err("nobody may read it without credentials");
    assert!(said.contains("401"), "{said}");

    let registry = Registry::start().await;
    registry.push(&package);
    let url = format!("{}/charts/small", registry.url());
    let shown = helm_offline(&["show", "chart", &url, "--version", "1.2.3", "--plain-http"]);
    assert!(shown.contains("name: small"), "{shown}");
}
