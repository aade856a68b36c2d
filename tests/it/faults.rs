//! What the daemon needs goes away and comes back.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    harness::{
        daemon::Daemon,
        objects::{CONFIG_MAP, GIT_REPOSITORY, HELM_RELEASE, KUSTOMIZATION, condition, field},
        proxy::Proxy,
    },
    site::{APPS, DAEMON, SOON, Site},
};

/// A site with one release, Ready.
async fn with_a_release(interval: &str) -> Site {
    let site = Site::started(interval).await;
    site.write_note("first", "one");
    site.push_and_ask("Add a release").await;
    site.note_says("first", "one", SOON).await;
    site
}

/// The release is as it was: Ready, of the same revision.
async fn is_untouched(site: &Site) {
    let release = HELM_RELEASE.get(&site.client, APPS, "first").await.expect("the release is there");
    assert_eq!(condition(&release, "Ready").expect("it has a condition").status, "True");
    assert_eq!(site.history("first"), [(1, "deployed".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_remote_that_is_gone_is_reported_and_changes_nothing_until_it_is_back() {
    let mut site = with_a_release("2s").await;
    site.git.stop();
    let source = GIT_REPOSITORY.ready(&site.client, (DAEMON, "staging"), SOON, ("False", "")).await;
    let ready = condition(&source, "Ready").expect("it has a condition");
    assert!(ready.message.contains("127.0.0.1"), "it says what cannot be reached: {ready:?}");
    assert!(field(&source, "/status/artifact/revision").is_string(), "the artifact is kept");
    is_untouched(&site).await;

    site.write_note("first", "two");
    site.remote.push("Change it");
    site.git.start_again();
    GIT_REPOSITORY.ready(&site.client, (DAEMON, "staging"), SOON, ("True", "")).await;
    site.note_says("first", "two", SOON).await;
    assert!(site.daemon.process().is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_restarted_is_found_again() {
    let mut site = with_a_release("1s").await;
    site.write_note("first", "two");
    site.cluster.component("stop kube-apiserver");
    site.remote.push("Change it");
    // Long enough that the daemon meets the closed port.
    sleep(Duration::from_secs(3)).await;
    site.cluster.component("start kube-apiserver");
    site.note_says("first", "two", SOON).await;
    assert_eq!(site.history("first"), [(1, "superseded".to_owned()), (2, "deployed".to_owned())]);
    assert!(site.daemon.process().is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stands_still_for_half_a_minute_changes_nothing() {
    let mut site = with_a_release("1s").await;
    site.cluster.component("pause etcd");
    sleep(Duration::from_secs(30)).await;
    site.cluster.component("resume etcd");
    KUSTOMIZATION.ready(&site.client, (DAEMON, "staging"), SOON, ("True", "")).await;
    is_untouched(&site).await;

    site.write_note("first", "two");
    site.remote.push("Change it");
    site.note_says("first", "two", SOON).await;
    assert!(site.daemon.process().is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_that_are_cut_are_opened_again() {
    let mut site = Site::new("1h").await;
    let proxy = Proxy::to(site.cluster.bowline_kubeconfig()).await;
    site.daemon =
        Daemon::with_kubeconfig(&proxy.kubeconfig()).environment(&site.git, "staging").args(&["--interval=1h"]);
    site.daemon.start();
    site.environment_is_ready().await;
    site.write_note("first", "one");
    site.push_and_ask("Add a release").await;
    site.note_says("first", "one", SOON).await;

    for text in ["two", "three"] {
        proxy.cut();
        site.write_note("first", text);
        site.push_and_ask("Change it").await;
        site.note_says("first", text, SOON).await;
    }
    // What is changed by hand is seen too, after a cut.
    proxy.cut();
    let by_hand = json!({"spec": {"values": {"text": "by hand"}}});
    HELM_RELEASE
        .api(&site.client, APPS)
        .patch(
            "first",
            &PatchParams { field_manager: Some("a-person".to_owned()), ..PatchParams::default() },
            &Patch::Merge(by_hand),
        )
        .await
        .expect("it can be patched");
    HELM_RELEASE
        .until(&site.client, (APPS, "first"), SOON, "be put right", |release| {
            field(release, "/spec/values/text") == "three"
        })
        .await;
    CONFIG_MAP
        .until(&site.client, (APPS, "first"), SOON, "say three", |note| field(note, "/data/text") == "three")
        .await;
    assert!(site.daemon.process().is_running());
}
