//! The black-box cases in `tests/cases`: folders of manifests with the steps that are carried out, and what must hold.

mod path;
mod steps;

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use helm::yaml;
use serde_json::Value;

use crate::harness::{
    Cluster,
    daemon::Daemon,
    git::{GitRemote, GitServer},
    helm_repository::HelmRepository,
    programs::{environment, must_run, program, repository},
    registry::Registry,
};

/// Cases that are carried out at one time.
const AT_ONCE: usize = 4;

/// What the cases pull from, and the names by which their manifests call it.
struct Servers {
    _helm: HelmRepository,
    _git: (GitRemote, GitServer),
    _registry: Registry,
    placeholders: BTreeMap<String, String>,
}

impl Servers {
    async fn start(charts: &Path) -> Self {
        let versions = read_yaml(&charts.join("VERSIONS.yaml"));
        let helm = HelmRepository::start();
        let registry = Registry::start().await;
        let mut placeholders = BTreeMap::new();
        for (chart, version) in pairs(&versions["helm-repository"]) {
            helm.add_with_app(&charts.join(&chart), &version);
        }
        let packages = HelmRepository::start();
        for (chart, version) in pairs(&versions["oci"]).into_iter().filter(|(chart, _)| chart != "digests") {
            registry.push(&packages.add_with_app(&charts.join(&chart), &version));
            for (name, of) in versions["oci"]["digests"].as_object().unwrap() {
                if of.as_str() == Some(&version) {
                    placeholders.insert(name.clone(), digest(&registry, &chart, &version).await);
                }
            }
        }
        let remote = GitRemote::new();
        remote.copy(charts, "charts");
        remote.push("The charts of the cases");
        for tag in versions["git"]["tags"].as_array().unwrap() {
            remote.git(&["tag", tag.as_str().unwrap()]);
        }
        remote.git(&["push", "--quiet", "--tags"]);
        let git = GitServer::serve(&remote);
        placeholders.insert("CHART_REPO".to_owned(), helm.url());
        placeholders.insert("GIT_URL".to_owned(), git.url());
        placeholders.insert("OCI_REGISTRY".to_owned(), registry.url().trim_start_matches("oci://").to_owned());
        let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() % 0xff_ffff;
        placeholders.insert("RUN_ID".to_owned(), format!("r{run:x}"));
        Self { _helm: helm, _git: (remote, git), _registry: registry, placeholders }
    }
}

/// The digest of a chart's manifest in a registry.
async fn digest(registry: &Registry, chart: &str, version: &str) -> String {
    let address = registry.url().replace("oci://", "http://");
    let url = format!("{address}/v2/charts/{chart}/manifests/{version}");
    let request = reqwest::Client::new().head(url).header("Accept", "application/vnd.oci.image.manifest.v1+json");
    let answer = request.send().await.expect("the registry answers");
    answer.headers()["Docker-Content-Digest"].to_str().expect("a digest is text").to_owned()
}

fn pairs(charts: &Value) -> Vec<(String, String)> {
    let of = |(chart, versions): (&String, &Value)| -> Vec<(String, String)> {
        let versions = versions.as_array().cloned().unwrap_or_default();
        versions.iter().map(|version| (chart.clone(), version.as_str().unwrap().to_owned())).collect()
    };
    charts.as_object().unwrap().iter().flat_map(of).collect()
}

fn read_yaml(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    yaml::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The folders with an `expect.yaml`; those that `BOWLINE_CASES` names, separated by commas, where it is set.
fn folders(dir: &Path) -> VecDeque<PathBuf> {
    let only: Option<Vec<String>> =
        environment("BOWLINE_CASES").map(|names| names.split(',').map(str::to_owned).collect());
    let mut found: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        path.join("expect.yaml").is_file() && only.as_ref().is_none_or(|only| only.iter().any(|one| one == name))
    });
    found.sort();
    found.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_holds() {
    let dir = repository().join("tests/cases");
    let cluster = Cluster::own().await;
    let daemon = Daemon::on(&cluster).args(&["--install-crds"]).started();
    let client = cluster.client().await;
    let servers = Servers::start(&dir.join("charts")).await;
    let left = Mutex::new(folders(&dir));
    assert!(!left.lock().unwrap().is_empty(), "there are no cases");
    let failures = Mutex::new(Vec::new());
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        loop {
            let next = left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(folder) = next else { return };
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            let begun = Instant::now();
            let outcome = runtime.block_on(steps::carry_out(&cluster, &client, &folder, &servers.placeholders));
            let took = begun.elapsed().as_secs_f64();
            match outcome {
                Ok(()) => println!("holds   {name}: {took:.1} s"),
                Err(failure) => {
                    println!("FAILS   {name}: {failure}");
                    failures.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{name}: {failure}"));
                }
            }
        }
    };
    std::thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} cases fail:\n{}\n{}", failures.len(), failures.join("\n"), tail(&daemon.log()));
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[test]
#[ignore = "needs BOWLINE_PACKS"]
fn every_case_of_the_pack_holds() {
    let pack = PathBuf::from(environment("BOWLINE_PACKS").expect("BOWLINE_PACKS is set")).join("flux-pack");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cluster = runtime.block_on(Cluster::own());
    let crds = must_run(Command::new(bowline()).arg("crds"));
    cluster.apply(&crds);
    let controller = format!(
        "{} run --metrics-addr=127.0.0.1:0 --health-addr=127.0.0.1:0 --storage-addr=127.0.0.1:0",
        bowline().display()
    );
    let programs = [program("helm"), program("kubectl"), program("docker-registry")];
    let folders: Vec<_> = programs.iter().filter_map(|path| path.parent()?.to_str()).collect();
    let path = format!("{}:{}", folders.join(":"), environment("PATH").unwrap_or_default());
    let mut command = Command::new("python3");
    command.arg(pack.join("run_cases.py")).env("PATH", path).arg("--kubeconfig").arg(cluster.bowline_kubeconfig());
    command.arg("--cases").arg(pack.join("helm-release-cases")).arg("--chart-dir").arg(pack.join("charts"));
    println!("{}", must_run(command.args(["--parallel", "4", "--controller", &controller])));
}

fn bowline() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_bowline"))
}
