//! `bowline template` with charts from repositories and registries, against the real helm: the same output, the same messages,
//! the same exit status.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::harness::{
    helm_repository::HelmRepository,
    programs::program,
    registry::{READER, Registry},
    tls::TlsFront,
};

/// The versions of the chart `app` in the repository and the registry.
const VERSIONS: [&str; 4] = ["1.0.0", "1.1.0", "1.2.0+build.5", "2.0.0-rc.1"];

/// A folder with a chart, and servers that have it.
struct Lab {
    dir: TempDir,
    repository: HelmRepository,
    registry: Registry,
}

impl Lab {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let chart = dir.path().join("app");
        write(&chart.join("Chart.yaml"), "apiVersion: v2\nname: app\nversion: 1.0.0\n");
        write(&chart.join("values.yaml"), "a: b\n");
        write(&chart.join("templates/a.yaml"), "v: {{ .Chart.Version }}\na: {{ .Values.a }}\nn: {{ .Release.Name }}\n");
        let (repository, registry) = (HelmRepository::start(), Registry::start().await);
        for version in VERSIONS {
            registry.push(&repository.add(&chart, version));
        }
        fs::write(repository.dir().join("values.yaml"), "a: remote\n").unwrap();
        Self { dir, repository, registry }
    }

    /// Runs a program with a home of its own.
    fn run(&self, program: &Path, home: &str, args: &[&str]) -> Output {
        let home = self.dir.path().join(home);
        let mut command = Command::new(program);
        command.arg("template").args(args).current_dir(self.dir.path()).env_clear().env("HOME", &home);
        command.output().unwrap()
    }

    /// Runs both and tells what differs. `prepare` is called with the home before each.
    fn differs_after(&self, prepare: impl Fn(&Path), args: &[&str]) -> Option<String> {
        let programs = [("helm", program("helm")), ("bowline", PathBuf::from(env!("CARGO_BIN_EXE_bowline")))];
        let [helm, ours] = programs.map(|(name, program)| {
            let home = format!("home-{name}");
            let _ = fs::remove_dir_all(self.dir.path().join(&home));
            prepare(&self.dir.path().join(&home));
            let output = self.run(&program, &home, args);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&home, "HOME");
            (output.status.code(), text(&output.stdout), text(&output.stderr))
        });
        (helm != ours).then(|| format!("template {}\nhelm: {helm:#?}\nbowline: {ours:#?}\n", args.join(" ")))
    }

    fn differs(&self, args: &[&str]) -> Option<String> {
        self.differs_after(|_| {}, args)
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Checks all, so that one run tells of every difference.
fn check(differences: impl Iterator<Item = Option<String>>) {
    let differences: Vec<String> = differences.flatten().collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_come_from_a_registry_as_in_helm() {
    let lab = Lab::new().await;
    let registry = lab.registry.url();
    let output = lab.run(&program("helm"), "home", &["x", &format!("{registry}/charts/app:1.0.0"), "--plain-http"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let digest = said.split("Digest: ").nth(1).unwrap().trim().to_owned();
    let table = [
        ("charts/app", "--plain-http"),
        ("charts/app", ""),
        ("charts/app:1.0.0", "--plain-http"),
        ("charts/app:1.0.0", ""),
        ("charts/app", "--plain-http --version 1.2.0+build.5"),
        ("charts/app", "--plain-http --version 1.x"),
        ("charts/app", "--plain-http --version 9.9.9"),
        ("charts/app", "--plain-http --version >5"),
        ("charts/app", "--plain-http --version garbage"),
        ("charts/app", "--plain-http --devel"),
        ("charts/app:1.0.0", "--plain-http --version 1.1.0"),
        ("charts/app@DIGEST", "--plain-http"),
        ("charts/app@DIGEST", "--plain-http --version 1.0.0"),
        ("charts/app@DIGEST", "--plain-http --version 1.1.0"),
        ("charts/app@DIGEST", "--plain-http --version 7.7.7"),
        ("charts/app:1.0.0@DIGEST", "--plain-http"),
        ("charts/app@sha256:abc", "--plain-http"),
        ("charts/none", "--plain-http"),
        ("charts/none", "--plain-http --version 1.0.0"),
        ("Charts/app", "--plain-http"),
        ("", "--plain-http"),
    ];
    check(table.iter().map(|(path, flags)| {
        let reference = format!("{registry}/{path}").trim_end_matches('/').replace("DIGEST", &digest);
        let flags: Vec<&str> = flags.split(' ').filter(|flag| !flag.is_empty()).collect();
        lab.differs(&[&["x", &reference], &flags[..]].concat())
    }));
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_and_values_come_by_http_as_in_helm() {
    let lab = Lab::new().await;
    let url = lab.repository.url();
    let table = [
        "--repo URL app",
        "x --repo URL/ app --version 1.0.0",
        "x --repo URL app --version 1.x",
        "x --repo URL app --version 1.2",
        "x --repo URL app --version >1",
        "x --repo URL app --version 7",
        "x --repo URL app --version garbage",
        "x --repo URL app --devel",
        "x --repo URL none",
        "x --repo URL/none app",
        "x --repo http://127.0.0.1:1 app",
        "x --repo ftp://127.0.0.1:1 app",
        "x --repo :: app",
        "x --repo URL app --ca-file /nope",
        "x URL/app-1.0.0.tgz",
        "x URL/none-1.0.0.tgz",
        "x URL/index.yaml",
        "x http://127.0.0.1:1/none-1.0.0.tgz",
        "x ftp://127.0.0.1:1/none-1.0.0.tgz",
        "x app -f URL/values.yaml",
        "x app -f URL/none.yaml",
        "x app -f http://127.0.0.1:1/values.yaml",
        "x app -f ftp://127.0.0.1:1/values.yaml",
        "x app --set-file a=URL/values.yaml",
        "x app --set-file a=URL/none.yaml",
        "x app --cert-file /nope --key-file /nope",
        "x app --cert-file app/Chart.yaml --key-file app/Chart.yaml",
        "x app --ca-file app/Chart.yaml",
        "x stable/app",
        "x absent",
    ];
    check(table.iter().map(|line| {
        let line = line.replace("URL", &url);
        lab.differs(&line.split(' ').collect::<Vec<_>>())
    }));
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_that_helm_knows_by_name_are_known() {
    let lab = Lab::new().await;
    let url = lab.repository.url();
    let add = |home: &Path| {
        let mut command = Command::new(program("helm"));
        let status = command.args(["repo", "add", "local", &url]).env_clear().env("HOME", home).output().unwrap();
        assert!(status.status.success());
    };
    let table = ["x local/app", "x local/app --version 1.2", "x local/app --version 7", "x local/none", "x other/app"];
    check(table.iter().map(|line| lab.differs_after(add, &line.split(' ').collect::<Vec<_>>())));
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_those_of_the_flags_and_of_helm() {
    let lab = Lab::new().await;
    let closed = lab.registry.closed().await;
    let reference = format!("{}/charts/app", closed.url());
    let (user, password) = READER;
    let login = |home: &Path| {
        let mut command = Command::new(program("helm"));
        let host = closed.host();
        command.args(["registry", "login", &host, "--plain-http", "--username", user, "--password", password]);
        let output = command.env_clear().env("HOME", home).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let chart: &[&str] = &["x", &reference, "--plain-http", "--version", "1.0.0"];
    let flags = |password| [chart, &["--username", user, "--password", password]].concat();
    check(
        [
            lab.differs(chart),
            lab.differs(&flags(password)),
            lab.differs(&flags("wrong")),
            lab.differs_after(login, chart),
            lab.differs_after(login, &["x", &reference, "--plain-http"]),
        ]
        .into_iter(),
    );

    let dir = lab.dir.path();
    let private = HelmRepository::start_for(Some(READER));
    private.add(&dir.join("app"), "1.0.0");
    let url = private.url();
    let archive = format!("{url}/app-1.0.0.tgz");
    check(
        [
            lab.differs(&["x", "--repo", &url, "app"]),
            lab.differs(&["x", "--repo", &url, "app", "--username", user, "--password", password]),
            lab.differs(&["x", "--repo", &url, "app", "--username", user, "--password", "wrong"]),
            lab.differs(&["x", &archive, "--username", user, "--password", password]),
        ]
        .into_iter(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_those_of_the_flags() {
    let lab = Lab::new().await;
    let front = TlsFront::to(&format!("http://{}", lab.registry.host())).await;
    let web = TlsFront::to(&lab.repository.url()).await;
    for (file, front) in [("registry.pem", &front), ("web.pem", &web)] {
        fs::write(lab.dir.path().join(file), front.authority()).unwrap();
    }
    let chart = format!("{}/charts/app", front.url().replace("https://", "oci://"));
    let archive = format!("{}/app-1.0.0.tgz", web.url());
    check(
        [
            lab.differs(&["x", &chart]),
            lab.differs(&["x", &chart, "--ca-file", "registry.pem"]),
            lab.differs(&["x", &chart, "--insecure-skip-tls-verify"]),
            lab.differs(&["x", &archive]),
            lab.differs(&["x", &archive, "--ca-file", "web.pem"]),
            lab.differs(&["x", &archive, "--insecure-skip-tls-verify"]),
        ]
        .into_iter(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dependencies_are_fetched_as_in_helm() {
    let lab = Lab::new().await;
    let (web, registry) = (lab.repository.url(), format!("{}/charts", lab.registry.url()));
    write(&lab.dir.path().join("local/Chart.yaml"), "apiVersion: v2\nname: local\nversion: 0.3.0\n");
    write(&lab.dir.path().join("local/templates/a.yaml"), "local: {{ .Chart.Version }}\n");
    let table = [
        "[{name: app, version: 1.x, repository: WEB}]",
        "[{name: app, version: 1.1.0, repository: WEB}, {name: local, version: '>=0.1', repository: 'file://../local'}]",
        "[{name: app, version: 1.x, repository: OCI}]",
        "[{name: app, version: 1.x, repository: WEB}, {name: app, version: 1.x, repository: WEB, alias: b}]",
        "[{name: app, version: 9.x, repository: WEB}]",
        "[{name: none, version: 9.x, repository: WEB}]",
        "[{name: none, version: 9.x, repository: stable}]",
        "[{name: none, version: 9.x, repository: '@stable'}]",
        "[{name: none, version: 9.x}]",
        "[{name: local, version: 9.x, repository: 'file://../local'}]",
        "[{name: local, version: 9.x, repository: 'file://../nope'}]",
        "[{name: app, version: '>9', repository: OCI}]",
        "[{name: app, version: 7.7.7, repository: OCI}]",
        "[{name: app, version: garb age, repository: OCI}]",
    ];
    check(table.iter().map(|dependencies| {
        let dependencies = dependencies.replace("WEB", &web).replace("OCI", &registry);
        let text = format!("apiVersion: v2\nname: parent\nversion: 0.1.0\ndependencies: {dependencies}\n");
        let parent = lab.dir.path().join("parent");
        let locks = std::cell::RefCell::new(Vec::new());
        let prepare = |_: &Path| {
            locks.borrow_mut().push(kept(&parent));
            let _ = fs::remove_dir_all(&parent);
            write(&parent.join("Chart.yaml"), &text);
        };
        let args = ["x", "parent", "--dependency-update", "--plain-http"];
        let differs = lab.differs_after(prepare, &args);
        // What helm left is looked at before the second run, and what we left now.
        let (helm, ours) = (locks.borrow().last().cloned().unwrap(), kept(&parent));
        differs.or_else(|| (helm != ours).then(|| format!("{text}\nhelm: {helm:#?}\nbowline: {ours:#?}")))
    }));
}

/// What an update leaves: the names of the archives, and the lock without its time.
fn kept(chart: &Path) -> (Vec<String>, String) {
    let entries = fs::read_dir(chart.join("charts")).into_iter().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let lock = fs::read_to_string(chart.join("Chart.lock")).unwrap_or_default();
    (names, lock.lines().filter(|line| !line.starts_with("generated:")).collect::<Vec<_>>().join("\n"))
}
