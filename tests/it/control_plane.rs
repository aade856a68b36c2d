//! The control plane that all else here is tested on does what the tests rely on.

use std::{fs, path::Path, process::Command, time::Duration};

use tokio::time::{sleep, timeout};

use crate::harness::{
    Cluster,
    audit::Request,
    objects::{CONFIG_MAP, DEPLOYMENT, JOB, POD, field},
    process::Process,
    programs::program,
};

const SOON: Duration = Duration::from_secs(30);

fn workload(kind: &str, annotation: &str) -> String {
    let template = format!(
        "template: {{metadata: {{labels: {{app: a}}, annotations: {{{annotation}}}}}, \
         spec: {{restartPolicy: {}, containers: [{{name: a, image: example/a}}]}}}}",
        if kind == "Deployment" { "Always" } else { "Never" }
    );
    match kind {
        "Deployment" => format!("spec: {{replicas: 2, selector: {{matchLabels: {{app: a}}}}, {template}}}"),
        _ => format!("spec: {{backoffLimit: 0, {template}}}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workloads_become_what_their_annotations_say() {
    let cluster = Cluster::shared();
    let client = cluster.client().await;
    let namespace = cluster.namespace("fates").await;
    let manifest = |api: &str, kind: &str, name: &str, annotation: &str| {
        let spec = workload(kind, annotation);
        format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\n{spec}\n---\n")
    };
    cluster.apply(&[
        manifest("apps/v1", "Deployment", "ready", ""),
        manifest("apps/v1", "Deployment", "unready", "case.test/unready: 'true'"),
        manifest("batch/v1", "Job", "completes", ""),
        manifest("batch/v1", "Job", "told-to-complete", "case.test/result: succeed"),
        manifest("batch/v1", "Job", "fails", "case.test/fail: 'true'"),
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: fails, namespace: {namespace}, annotations: {{case.test/fail: 'true'}}}}\n\
             spec: {{restartPolicy: Never, containers: [{{name: a, image: example/a}}]}}\n"
        ),
    ]
    .concat());
    let key = |name| (namespace.as_str(), name);

    DEPLOYMENT
        .until(&client, key("ready"), SOON, "be available", |object| field(object, "/status/availableReplicas") == 2)
        .await;
    for job in ["completes", "told-to-complete"] {
        JOB.until(&client, key(job), SOON, "complete", |object| field(object, "/status/succeeded") == 1).await;
    }
    JOB.until(&client, key("fails"), SOON, "fail", |object| field(object, "/status/failed") == 1).await;
    POD.until(&client, key("fails"), SOON, "fail", |object| field(object, "/status/phase") == "Failed").await;
    let unready = DEPLOYMENT
        .until(&client, key("unready"), SOON, "have pods", |object| field(object, "/status/replicas") == 2)
        .await;
    assert!(field(&unready, "/status/availableReplicas").is_null(), "pods that are told to stay unready are not");
    cluster.kubectl(&["delete", "namespace", &namespace, "--wait=false"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_user_also_when_they_impersonate() {
    let cluster = Cluster::own().await;
    let audit = cluster.audit_log();
    let mark = audit.now();
    let bowline = cluster.bowline_kubeconfig().to_str().expect("the path is text").to_owned();
    cluster.kubectl(&["--kubeconfig", &bowline, "create", "configmap", "mine", "-n", "default"]);
    cluster.kubectl(&[
        "--kubeconfig",
        &bowline,
        "get",
        "configmap",
        "mine",
        "-n",
        "default",
        "--as",
        "admin",
        "--as-group",
        "system:masters",
    ]);
    cluster.kubectl(&["create", "configmap", "not-mine", "-n", "default"]);

    let requests = audit.requests_since(mark, "bowline");
    let of_config_maps: Vec<_> =
        requests.iter().filter(|request| request.object_ref.resource == "configmaps").collect();
    let seen: Vec<_> = of_config_maps
        .iter()
        .map(|request| (request.summary(), request.impersonated_user.as_ref().map(|user| user.username.as_str())))
        .collect();
    assert_eq!(seen, [("create configmaps".to_owned(), None), ("get configmaps".to_owned(), Some("admin"))]);
    assert!(of_config_maps.iter().all(|request| request.user_agent.starts_with("kubectl")), "{of_config_maps:?}");
    assert_eq!(requests.iter().filter(|request| Request::is_write(request)).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_comes_back_with_its_data_and_etcd_can_be_paused() {
    let cluster = Cluster::own().await;
    let client = cluster.client().await;
    cluster.kubectl(&["create", "configmap", "kept", "-n", "default"]);
    cluster.component("restart kube-apiserver");
    assert!(CONFIG_MAP.get(&client, "default", "kept").await.is_some());

    cluster.component("pause etcd");
    assert!(cluster.try_kubectl(&["create", "configmap", "late", "-n", "default", "--request-timeout=1s"]).is_err());
    cluster.component("resume etcd");
    CONFIG_MAP.until(&client, ("default", "kept"), SOON, "be there", |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_planes_start_side_by_side_and_end_with_their_starter() {
    let dirs: Vec<_> = (0..2).map(|_| tempfile::tempdir().expect("a folder can be made")).collect();
    // What starts them is a shell that holds their standard input open and waits for what never comes.
    let program = program("control-plane");
    let start = |dir: &Path| {
        let (program, dir) = (program.display(), dir.display());
        let script = format!("mkfifo {dir}/never; exec 3> >({program} up --dir {dir}); exec 4<>{dir}/never; read -u 4");
        let mut command = Command::new("bash");
        command.args(["-c", &script]);
        Process::start("starter", &command)
    };
    let mut starters: Vec<_> = dirs.iter().map(|dir| start(dir.path())).collect();
    for starter in &starters {
        starter.output_until(0, Duration::from_mins(2), "that it is ready", |text| text.contains("ready")).await;
    }
    let pids: Vec<String> = dirs
        .iter()
        .flat_map(|dir| fs::read_dir(dir.path()).expect("the folder can be read"))
        .map(|entry| entry.expect("an entry can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pid"))
        .map(|path| fs::read_to_string(path).expect("the pid can be read"))
        .collect();
    assert_eq!(pids.len(), 2 * 6, "five components and the control plane itself, twice");
    assert!(pids.iter().all(|pid| is_alive(pid)));

    for starter in &mut starters {
        starter.kill();
    }
    let gone = timeout(SOON, async {
        while pids.iter().any(|pid| is_alive(pid)) {
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(gone.await.is_ok(), "a process outlives its starter");
}

fn is_alive(pid: &str) -> bool {
    // A zombie has no command line.
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}
