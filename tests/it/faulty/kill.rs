//! The daemon is killed at each write.

use std::time::Instant;

use kube::api::DeleteParams;

use super::{
    Faulty, NAME, is_complete, sample,
    scenario::Scenario,
    seed,
    verify::{self, End},
};
use crate::{
    harness::{faulty_proxy::Moment, objects::HELM_RELEASE, programs::environment},
    sequences::Random,
};

/// A write, by its number, and when the daemon is killed at it.
type Point = (usize, Moment);

/// Kills the daemon at one write and, while it recovers, at others; says at which.
pub async fn killed_at(faulty: &mut Faulty, (scenario, namespace): (Scenario, &str), kills: &[Point]) -> String {
    let mut at = Vec::new();
    for (turn, (number, moment)) in kills.iter().enumerate() {
        faulty.proxy.kill_at(namespace, *number, *moment);
        if turn == 0 {
            scenario.act(faulty, namespace).await;
        } else {
            faulty.restart();
        }
        at.push(tokio::select! {
            at = faulty.proxy.killed() => at,
            // Undisturbed runs do not write to the same number each time.
            _ = verify::is_over(faulty, scenario, namespace) => "no write".to_owned(),
        });
        faulty.proxy.disarm();
        faulty.site.daemon.kill();
    }
    at.join(", then ")
}

/// Says what is wrong with a release once the daemon runs again: it comes to its end and stays there.
pub async fn recovered(
    faulty: &mut Faulty,
    (scenario, namespace): (Scenario, &str),
    expected: &End,
    (from, more): (usize, usize),
) -> Vec<String> {
    faulty.start();
    let mut wrong = match verify::is_over(faulty, scenario, namespace).await {
        Ok(()) => verify::verify(faulty, (scenario, namespace), expected, (from, more)).await,
        Err(wrong) => vec![wrong],
    };
    if wrong.is_empty() && scenario != Scenario::Uninstall {
        faulty.reconciled_once_more(namespace).await;
        let later = verify::verify(faulty, (scenario, namespace), expected, (from, more)).await;
        wrong.extend(later.into_iter().map(|wrong| format!("does not stay: {wrong}")));
    }
    wrong
}

/// The numbers of the writes, and the moments, at which the daemon is killed. Between one write and the next nothing
/// changes on the cluster: before the one is after the other, but that the daemon knows of it.
fn points(scenario: Scenario, writes: usize, random: &mut Random) -> Vec<Point> {
    let all = (0..writes).flat_map(|number| [(number, Moment::Before), (number, Moment::After)]);
    if is_complete() {
        return all.collect();
    }
    let before: Vec<_> = all.filter(|(_, moment)| *moment == Moment::Before).collect();
    match scenario {
        Scenario::Install | Scenario::Upgrade => before,
        _ => vec![random.pick(&before)],
    }
}

/// The scenarios that are asked for.
fn scenarios() -> impl Iterator<Item = Scenario> {
    let only = environment("BOWLINE_FAULTS_ONLY");
    let is_asked_for = move |scenario: &Scenario| {
        only.as_deref().is_none_or(|only| only.split(',').any(|only| only == scenario.prefix()))
    };
    Scenario::ALL.into_iter().filter(is_asked_for)
}

/// Makes the namespaces of a scenario's kills, and brings the releases in them to where it begins.
async fn prepared(faulty: &Faulty, scenario: Scenario, prefix: &str, count: usize) -> Vec<String> {
    let namespaces: Vec<_> = (0..count).map(|number| format!("{prefix}{}-{number:03}-x", scenario.prefix())).collect();
    for namespace in &namespaces {
        scenario.prepare(faulty, namespace).await;
    }
    for namespace in &namespaces {
        scenario.prepared(faulty, namespace).await;
    }
    namespaces
}

/// What came of all kills.
#[derive(Default)]
struct Tally {
    count: usize,
    failures: Vec<String>,
}

impl Tally {
    fn add(&mut self, faulty: &Faulty, namespace: &str, kills: &str, wrong: &[String]) {
        println!("{namespace} {kills}: {wrong:?}");
        self.count += 1;
        if !wrong.is_empty() {
            faulty.keep_log(namespace);
            self.failures.push(format!("{namespace} {kills}: {wrong:?}"));
        }
    }

    fn end(self, begun: Instant) {
        println!("{} in {:.0?}", self.count, begun.elapsed());
        assert!(self.failures.is_empty(), "{} of {}: {:#?}", self.failures.len(), self.count, self.failures);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_write_leaves_a_release_as_it_would_have_become() {
    let begun = Instant::now();
    let mut faulty = Faulty::started(&[]).await;
    let (mut random, mut tally) = (seed(), Tally::default());
    for scenario in scenarios() {
        let (expected, writes) = verify::undisturbed(&faulty, scenario).await;
        println!("{scenario:?} {writes:#?} {:?} {:?}", expected.records, expected.runs);
        let points = points(scenario, writes.len(), &mut random);
        let namespaces = prepared(&faulty, scenario, "", points.len()).await;
        for (namespace, point) in namespaces.iter().zip(points) {
            let from = faulty.proxy.writes(namespace).len();
            let at = killed_at(&mut faulty, (scenario, namespace), &[point]).await;
            let wrong = recovered(&mut faulty, (scenario, namespace), &expected, (from, 1)).await;
            tally.add(&faulty, namespace, &format!("{point:?} {at}"), &wrong);
        }
    }
    tally.end(begun);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_while_a_kill_is_recovered_from_leave_a_release_as_it_would_have_become() {
    let begun = Instant::now();
    let mut faulty = Faulty::started(&[]).await;
    let (mut random, mut tally) = (seed(), Tally::default());
    for scenario in sample(scenarios().collect(), &mut random) {
        let (expected, writes) = verify::undisturbed(&faulty, scenario).await;
        let all: Vec<usize> = (0..writes.len()).collect();
        let first = if is_complete() { all } else { vec![random.pick(&all)] };
        let namespaces = prepared(&faulty, scenario, "again-", first.len()).await;
        for (namespace, first) in namespaces.iter().zip(first) {
            let from = faulty.proxy.writes(namespace).len();
            let second = random.pick(&[0, 1, 2, 3, 4, 6, 8]);
            let kills = [(first, Moment::Before), (second, Moment::After)];
            let at = killed_at(&mut faulty, (scenario, namespace), &kills).await;
            let wrong = recovered(&mut faulty, (scenario, namespace), &expected, (from, 2)).await;
            tally.add(&faulty, namespace, &format!("{kills:?} {at}"), &wrong);
        }
    }
    tally.end(begun);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_deleted_while_the_daemon_is_dead_leaves_nothing() {
    let begun = Instant::now();
    let mut faulty = Faulty::started(&[]).await;
    let (mut random, mut tally) = (seed(), Tally::default());
    let nothing = End::default();
    for scenario in scenarios().filter(|one| matches!(one, Scenario::Install | Scenario::Upgrade | Scenario::Rollback))
    {
        let (_, writes) = verify::undisturbed(&faulty, scenario).await;
        let all: Vec<usize> = (0..writes.len()).collect();
        let points = if is_complete() { all } else { vec![random.pick(&all)] };
        let namespaces = prepared(&faulty, scenario, "deleted-", points.len()).await;
        for (namespace, point) in namespaces.iter().zip(points) {
            let from = faulty.proxy.writes(namespace).len();
            let at = killed_at(&mut faulty, (scenario, namespace), &[(point, Moment::Before)]).await;
            let releases = HELM_RELEASE.api(faulty.client(), namespace);
            releases.delete(NAME, &DeleteParams::default()).await.unwrap();
            let wrong = recovered(&mut faulty, (Scenario::Uninstall, namespace), &nothing, (from, 0)).await;
            tally.add(&faulty, namespace, &format!("{point} {at}"), &wrong);
        }
    }
    tally.end(begun);
}
