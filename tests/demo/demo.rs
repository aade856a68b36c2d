//! `make demo`: a control plane, a Git remote with this repository's tree, and `bowline run` on its `staging/`.
//!
//! With `--once` it ends when all is Ready; else it stays until it is interrupted. Whatever it started ends with it.

#[allow(dead_code, reason = "the demo stands on what the tests stand on, and needs less of it")]
#[path = "../it/harness/mod.rs"]
mod harness;

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use futures::TryStreamExt as _;
use harness::{
    Cluster,
    daemon::Daemon,
    git::{GitRemote, GitServer},
    objects::{HELM_RELEASE, KUSTOMIZATION, condition},
    programs::{must_run, program, repository},
};
use kube::{
    ResourceExt as _,
    api::DynamicObject,
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::{signal::unix, time::timeout};

/// The folder that is reconciled, and so the name of the objects that say how.
const ENVIRONMENT: &str = "staging";
const NAMESPACE: &str = "flux-system";
const READY_WITHIN: Duration = Duration::from_mins(5);

#[tokio::main]
async fn main() -> ExitCode {
    let once = std::env::args().any(|argument| argument == "--once");
    let begun = Instant::now();

    println!("Starting a control plane (BOWLINE_TEST_KUBECONFIG names another cluster)");
    let cluster = Cluster::named_or_new();
    println!("Serving this repository's committed tree with git http-backend");
    let remote = GitRemote::new();
    let tree = format!("git archive HEAD | tar -x -C '{}'", remote.work().display());
    must_run(Command::new("bash").args(["-o", "pipefail", "-c", &tree]).current_dir(repository()));
    remote.push("Begin with the sample environments");
    let server = GitServer::serve(&remote);
    println!("Starting bowline run --git-url {} --environment {ENVIRONMENT}\n", server.url());
    let mut daemon = Daemon::on(&cluster).environment(&server, ENVIRONMENT).args(&["--interval=5s"]).started();

    let ready = tokio::select! {
        ready = timeout(READY_WITHIN, all_ready(&cluster, begun)) => ready.is_ok(),
        () = interrupted() => return ExitCode::FAILURE,
        status = daemon.process().ended(READY_WITHIN * 2) => {
            eprintln!("bowline ended: {status}");
            false
        }
    };
    if !ready {
        eprintln!("Not Ready after {READY_WITHIN:?}. What bowline logged:\n{}", daemon.log());
        return ExitCode::FAILURE;
    }
    println!("\nAll Ready after {:.1} s.\n", begun.elapsed().as_secs_f64());
    print!("{}", cluster.kubectl(&["get", "helmreleases", "-A"]));
    if once {
        return ExitCode::SUCCESS;
    }
    println!("{}", things_to_try(&cluster, &remote));
    interrupted().await;
    println!("\nEnding all that was started");
    ExitCode::SUCCESS
}

/// Returns when the environment is applied and each of its releases is Ready, and says what changes until then.
async fn all_ready(cluster: &Cluster, begun: Instant) {
    let client = cluster.client().await;
    let mut said = BTreeMap::new();
    let mut say = |kind: &str, object: &DynamicObject| {
        let name = format!("{kind} {}/{}", object.namespace().unwrap_or_default(), object.name_any());
        let Some(ready) = condition(object, "Ready") else { return false };
        let state = format!("{}: {}", ready.reason, ready.message.lines().next().unwrap_or_default());
        if said.get(&name) != Some(&state) {
            println!("{:6.1} s  {name}  {state}", begun.elapsed().as_secs_f64());
            said.insert(name, state);
        }
        ready.status == "True" && ready.observed_generation == object.metadata.generation
    };
    let kustomizations = KUSTOMIZATION.api(&client, NAMESPACE);
    let releases = HELM_RELEASE.everywhere(&client);
    let config = watcher::Config::default();
    let mut changes = std::pin::pin!(futures::stream::select(
        watcher(kustomizations.clone(), config.clone()).default_backoff().touched_objects(),
        watcher(releases.clone(), config).default_backoff().touched_objects(),
    ));
    loop {
        // The kinds are not known before the daemon has made them; the watches keep trying.
        let Ok(Some(_)) = changes.try_next().await else { continue };
        let Ok(Some(environment)) = kustomizations.get_opt(ENVIRONMENT).await else { continue };
        let Ok(releases) = releases.list(&kube::api::ListParams::default()).await else { continue };
        let waiting = releases.items.iter().filter(|release| !say("HelmRelease", release)).count();
        if say("Kustomization", &environment) && waiting == 0 && !releases.items.is_empty() {
            return;
        }
    }
}

fn things_to_try(cluster: &Cluster, remote: &GitRemote) -> String {
    let tools = program("kubectl");
    let tools = tools.parent().unwrap_or(Path::new("/")).display();
    format!(
        "
Three things to try, in another terminal that begins with

    export KUBECONFIG={kubeconfig} PATH={tools}:$PATH
    cd {work}

1. Edit and commit: another title for ui. Its release is upgraded within seconds.

    sed -i 's/title: .*/title: Hello from the demo/' staging/ui.yaml
    git commit -qam 'Name the page' && git push -q
    kubectl -n staging get helmrelease ui --watch

2. Break a manifest. The Kustomization names file and line; all that is healthy stays Ready.

    echo 'spec: [' >>staging/worker.yaml
    git commit -qam 'Break worker' && git push -q
    kubectl -n {NAMESPACE} wait kustomization/{ENVIRONMENT} --for=condition=Ready=false --timeout=60s
    kubectl -n {NAMESPACE} get kustomization {ENVIRONMENT}
    git revert --no-edit HEAD && git push -q

3. Delete one. Its release is uninstalled.

    git rm -q staging/pipeline.yaml
    git commit -qm 'Drop pipeline' && git push -q
    helm list -A

Interrupt with Ctrl-C; all that was started ends.",
        kubeconfig = cluster.kubeconfig().display(),
        work = remote.work().display(),
    )
}

async fn interrupted() {
    let listen = |kind| unix::signal(kind).expect("signals can be listened for");
    let (mut interrupt, mut terminate) = (listen(unix::SignalKind::interrupt()), listen(unix::SignalKind::terminate()));
    tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
}
