//! From a push to a running release, and how long that takes.

use std::time::{Duration, Instant};

use crate::{
    harness::objects::{CONFIG_MAP, GIT_REPOSITORY, HELM_RELEASE, field},
    site::{APPS, SOON, Site},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_installed_upgraded_and_uninstalled_by_commits() {
    let site = Site::started("1h").await;
    site.write_note("first", "one");
    site.push_and_ask("Add a release").await;
    site.note_says("first", "one", SOON).await;
    assert_eq!(site.history("first"), [(1, "deployed".to_owned())]);
    assert!(site.cluster.helm(&["get", "manifest", "first", "-n", APPS]).contains("text: one"));

    site.write_note("first", "two");
    site.push_and_ask("Change it").await;
    let release = site.note_says("first", "two", SOON).await;
    assert_eq!(site.history("first"), [(1, "superseded".to_owned()), (2, "deployed".to_owned())]);
    assert_eq!(field(&release, "/status/history/0/version"), 2);

    site.remote.remove("staging/first.yaml");
    site.push_and_ask("Take it away").await;
    HELM_RELEASE.gone(&site.client, (APPS, "first"), SOON).await;
    assert!(CONFIG_MAP.get(&site.client, APPS, "first").await.is_none(), "the release is uninstalled first");
    assert!(site.cluster.try_helm(&["history", "first", "-n", APPS]).is_err(), "no revision is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_helm_does_by_hand_is_understood() {
    let site = Site::started("1h").await;
    site.write_note("first", "one");
    site.push_and_ask("Add a release").await;
    site.note_says("first", "one", SOON).await;
    site.write_note("first", "two");
    site.push_and_ask("Change it").await;
    site.note_says("first", "two", SOON).await;

    site.cluster.helm(&["rollback", "first", "1", "-n", APPS, "--force-conflicts"]);
    site.note_says("first", "two", SOON).await;
    let history = site.history("first");
    assert_eq!(
        history.last().map(|(revision, status)| (*revision, status.as_str())),
        Some((4, "deployed")),
        "{history:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_ready_within_the_interval_and_two_seconds_or_two_seconds_when_asked_for() {
    const INTERVAL: Duration = Duration::from_secs(5);
    const AFTER: Duration = Duration::from_secs(2);
    let site = Site::started("5s").await;
    site.write_note("first", "0");
    site.remote.push("Add a release");
    site.note_says("first", "0", SOON).await;

    let mut polled = Vec::new();
    for text in ["1", "2", "3"] {
        site.write_note("first", text);
        site.remote.push("Change it");
        let begun = Instant::now();
        site.note_says("first", text, SOON).await;
        polled.push(begun.elapsed());
    }
    // The interval varies by 5 %, as in Flux.
    let most = INTERVAL.mul_f64(1.05) + AFTER;
    assert!(polled.iter().all(|took| *took <= most), "by polling: {polled:?}, at most {most:?}");

    let mut asked = Vec::new();
    for text in ["4", "5", "6"] {
        site.write_note("first", text);
        site.remote.push("Change it");
        let begun = Instant::now();
        site.ask(GIT_REPOSITORY, crate::site::DAEMON, "staging").await;
        site.note_says("first", text, SOON).await;
        asked.push(begun.elapsed());
    }
    assert!(asked.iter().all(|took| *took <= AFTER), "when asked: {asked:?}, at most {AFTER:?}");
    eprintln!("from push to Ready: by polling every {INTERVAL:?} {polled:?}, when asked {asked:?}");
}
