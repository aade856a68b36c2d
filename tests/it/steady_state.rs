//! What Bowline asks of the API server when there is nothing to do.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::sleep;

use crate::{
    harness::{audit::Request, objects::HELM_RELEASE, programs::environment},
    site::{APPS, Site, release},
};

/// As whom the daemon works; requests that it makes as someone else are logged as its own, too.
const USER: &str = "bowline";
const RELEASES: usize = 50;
/// How long requests are counted, in seconds, unless `$BOWLINE_STEADY_SECONDS` says otherwise: longer than the source's interval.
const WATCHED: u64 = 75;
/// What the last of the installs may still cause: events, and statuses.
const SETTLED: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn fifty_releases_at_rest_cost_nothing_but_watches_and_leases() {
    let site = Site::started("1m").await;
    for number in 0..RELEASES {
        let name = format!("note-{number:02}");
        let mut text = release(&name, "./charts/note", "text: one");
        if number % 2 == 0 {
            // The interval falls into the time, too.
            text = text.replace("  interval: 30m\n", "  interval: 1m\n  driftDetection: {mode: enabled}\n");
            assert!(text.contains("driftDetection"), "{text}");
        }
        site.remote.write(&format!("staging/{name}.yaml"), &text);
    }
    site.push_and_ask("Add many releases").await;
    for number in 0..RELEASES {
        let name = format!("note-{number:02}");
        HELM_RELEASE.ready(&site.client, (APPS, &name), Duration::from_mins(2), ("True", "")).await;
    }
    sleep(SETTLED).await;

    let seconds =
        environment("BOWLINE_STEADY_SECONDS").map_or(WATCHED, |text| text.parse().expect("a count of seconds"));
    let watched = Duration::from_secs(seconds);
    let audit = site.cluster.audit_log();
    assert!(audit.requests_since(0, USER).iter().any(Request::is_write), "the log tells what the daemon did");
    let mark = audit.now();
    sleep(watched).await;
    let requests = audit.requests_since(mark, USER);
    let mut counts = BTreeMap::new();
    for request in requests.iter().filter(|request| !is_at_rest(request)) {
        *counts.entry(request.summary()).or_insert(0_usize) += 1;
    }
    // The one relist in 10 minutes may fall into the time.
    counts.retain(|summary, count| !(summary.starts_with("list ") && *count == 1));
    assert_eq!(counts, BTreeMap::new(), "in {watched:?} with {RELEASES} releases that do not change");
}

fn is_at_rest(request: &Request) -> bool {
    request.verb == "watch" || request.object_ref.resource == "leases"
}
