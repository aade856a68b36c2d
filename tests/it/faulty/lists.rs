//! Lists are answered as they were some time ago, as from the cache of an API server that is behind.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{Faulty, kill, sample, scenario::Scenario, seed, verify};
use crate::{faulty::is_complete, harness::faulty_proxy::Moment};

/// Brings a release for each scenario to where that begins.
pub async fn prepared(faulty: &Faulty, prefix: &str) -> Vec<(Scenario, String)> {
    let releases: Vec<_> = Scenario::ALL.into_iter().map(|one| (one, format!("{prefix}-{}", one.prefix()))).collect();
    for (scenario, namespace) in &releases {
        scenario.prepare(faulty, namespace).await;
    }
    for (scenario, namespace) in &releases {
        scenario.prepared(faulty, namespace).await;
    }
    releases
}

/// Says what is wrong with releases at their ends, and that they stay there.
pub async fn wrong(
    faulty: &Faulty,
    releases: &[(Scenario, String)],
    ends: &[verify::End],
    from: &[usize],
) -> Vec<String> {
    let mut failures = Vec::new();
    for (((scenario, namespace), expected), from) in releases.iter().zip(ends).zip(from) {
        let mut wrong = match verify::is_over(faulty, *scenario, namespace).await {
            Ok(()) => Vec::new(),
            Err(wrong) => vec![wrong],
        };
        if wrong.is_empty() && *scenario != Scenario::Uninstall {
            faulty.reconciled_once_more(namespace).await;
        }
        wrong.extend(verify::verify(faulty, (*scenario, namespace), expected, (*from, 0)).await);
        println!("{scenario:?} {namespace}: {wrong:?}");
        failures.extend(wrong.into_iter().map(|wrong| format!("{scenario:?} {namespace}: {wrong}")));
    }
    failures
}

/// Acts on all releases, and says where the writes of each begin.
pub async fn acted(faulty: &Faulty, releases: &[(Scenario, String)]) -> Vec<usize> {
    let mut from = Vec::new();
    for (scenario, namespace) in releases {
        from.push(faulty.proxy.writes(namespace).len());
        scenario.act(faulty, namespace).await;
    }
    from
}

pub async fn ends(faulty: &Faulty) -> Vec<verify::End> {
    let mut ends = Vec::new();
    for scenario in Scenario::ALL {
        ends.push(verify::undisturbed(faulty, scenario).await.0);
    }
    ends
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_are_out_of_date_change_nothing() {
    let mut faulty = Faulty::started(&["--relist-interval=1s"]).await;
    let ends = ends(&faulty).await;

    // A start that sees all as it was before.
    let releases = prepared(&faulty, "start").await;
    faulty.proxy.remember_lists();
    faulty.restart();
    faulty.is_in_sync().await;
    let from = acted(&faulty, &releases).await;
    let mut failures = wrong(&faulty, &releases, &ends, &from).await;
    faulty.proxy.serve_old_lists(true);
    faulty.restart();
    faulty.is_in_sync().await;
    failures.extend(wrong(&faulty, &releases, &ends, &from).await);
    assert!(faulty.proxy.serve_old_lists(false) > 0, "old lists were served");

    // Lists anew, on the way and after it, that are older than what is known.
    let releases = prepared(&faulty, "anew").await;
    faulty.proxy.remember_lists();
    sleep(Duration::from_secs(7)).await;
    faulty.proxy.serve_old_lists(true);
    let from = acted(&faulty, &releases).await;
    failures.extend(wrong(&faulty, &releases, &ends, &from).await);
    assert!(faulty.proxy.serve_old_lists(false) > 0, "old lists were served");
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_after_a_kill_with_lists_from_before_loses_nothing() {
    let begun = Instant::now();
    let mut faulty = Faulty::started(&[]).await;
    let (mut random, mut count, mut failures) = (seed(), 0, Vec::new());
    for scenario in sample(Scenario::ALL.to_vec(), &mut random) {
        let (expected, writes) = verify::undisturbed(&faulty, scenario).await;
        let all: Vec<usize> = (0..writes.len()).collect();
        let points = if is_complete() { all } else { vec![random.pick(&all)] };
        for point in points {
            let namespace = format!("old-{}-{point:03}-x", scenario.prefix());
            scenario.prepare(&faulty, &namespace).await;
            scenario.prepared(&faulty, &namespace).await;
            faulty.proxy.remember_lists();
            faulty.restart();
            faulty.is_in_sync().await;
            faulty.proxy.serve_old_lists(true);
            let from = faulty.proxy.writes(&namespace).len();
            let at = kill::killed_at(&mut faulty, (scenario, &namespace), &[(point, Moment::Before)]).await;
            let wrong = kill::recovered(&mut faulty, (scenario, &namespace), &expected, (from, 1)).await;
            faulty.proxy.serve_old_lists(false);
            println!("{scenario:?} {namespace} write {point}, {at}: {wrong:?}");
            count += 1;
            if !wrong.is_empty() {
                faulty.keep_log(&namespace);
                failures.push(format!("{scenario:?} {namespace} write {point}, {at}: {wrong:?}"));
            }
        }
    }
    println!("{count} kills in {:.0?}", begun.elapsed());
    assert!(failures.is_empty(), "{} of {count} kills: {failures:#?}", failures.len());
}
