//! The daemon is killed at moments spread over what it does; the next start goes on from there.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::{
    harness::objects::{CONFIG_MAP, HELM_RELEASE},
    site::{APPS, SOON, Site},
};

/// Moments of each of the three actions.
const INSTALLS: u32 = 7;
const UPGRADES: u32 = 7;
const UNINSTALLS: u32 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_of_twenty_moments_loses_nothing() {
    let mut site = Site::started("1h").await;
    site.write_note("measured", "one");
    let install = timed(&site, "one").await;
    site.write_note("measured", "two");
    let upgrade = timed(&site, "two").await;

    for moment in 0..INSTALLS {
        let name = format!("installed-{moment}");
        site.write_note(&name, "one");
        site.push_and_ask("Install").await;
        kill_and_start(&mut site, install * moment / (INSTALLS - 1)).await;
        site.note_says(&name, "one", SOON).await;
        only_the_last_is_deployed(&site, &name, moment);
    }
    for moment in 0..UPGRADES {
        let name = format!("installed-{moment}");
        let before = uid(&site, &name).await;
        site.write_note(&name, "two");
        site.push_and_ask("Upgrade").await;
        kill_and_start(&mut site, upgrade * moment / (UPGRADES - 1)).await;
        site.note_says(&name, "two", SOON).await;
        only_the_last_is_deployed(&site, &name, moment);
        assert_eq!(uid(&site, &name).await, before, "upgrade {moment}: the object is upgraded, not made anew");
    }
    for moment in 0..UNINSTALLS {
        let name = format!("installed-{moment}");
        site.remote.remove(&format!("staging/{name}.yaml"));
        site.push_and_ask("Uninstall").await;
        kill_and_start(&mut site, upgrade * moment / (UNINSTALLS - 1)).await;
        HELM_RELEASE.gone(&site.client, (APPS, &name), SOON).await;
        assert!(CONFIG_MAP.get(&site.client, APPS, &name).await.is_none(), "uninstall {moment}: an object is left");
        assert!(
            site.cluster.try_helm(&["history", &name, "-n", APPS]).is_err(),
            "uninstall {moment}: a record is left"
        );
    }
}

/// How long it takes, undisturbed, from the request to Ready.
async fn timed(site: &Site, text: &str) -> Duration {
    site.remote.push("Undisturbed");
    let begun = Instant::now();
    site.push_and_ask("Undisturbed").await;
    site.note_says("measured", text, SOON).await;
    begun.elapsed()
}

async fn kill_and_start(site: &mut Site, after: Duration) {
    // The moment is what is tested.
    sleep(after).await;
    site.daemon.kill();
    site.daemon.start();
}

fn only_the_last_is_deployed(site: &Site, name: &str, moment: u32) {
    let history = site.history(name);
    let revisions: Vec<u64> = history.iter().map(|(revision, _)| *revision).collect();
    let expected: Vec<u64> = (1..=history.len() as u64).collect();
    assert_eq!(revisions, expected, "{name}, moment {moment}: no revision is missing: {history:?}");
    let (last, earlier) = history.split_last().expect("there is a revision");
    assert_eq!(last.1, "deployed", "{name}, moment {moment}: {history:?}");
    assert!(
        earlier.iter().all(|(_, status)| status == "superseded" || status == "failed"),
        "{name}, moment {moment}: {history:?}"
    );
}

async fn uid(site: &Site, name: &str) -> Option<String> {
    CONFIG_MAP.get(&site.client, APPS, name).await.and_then(|object| object.metadata.uid)
}
