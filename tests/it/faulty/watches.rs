//! Events of watches are lost.

use super::{Faulty, is_complete, lists};

#[tokio::test(flavor = "multi_thread")]
async fn no_release_waits_for_an_event_that_is_lost() {
    let faulty = Faulty::started(&["--relist-interval=2s"]).await;
    let ends = lists::ends(&faulty).await;
    let mut failures = Vec::new();
    let rounds: &[usize] = if is_complete() { &[2, 3, 5] } else { &[3] };
    for &every in rounds {
        let releases = lists::prepared(&faulty, &format!("lost-{every}")).await;
        faulty.proxy.lose_events(Some(every));
        let from = lists::acted(&faulty, &releases).await;
        failures.extend(lists::wrong(&faulty, &releases, &ends, &from).await);
        let lost = faulty.proxy.lose_events(None);
        println!("each event of {every}: {lost} were lost");
        assert!(lost > 0, "events were lost");
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
