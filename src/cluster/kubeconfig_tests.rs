use super::*;

fn text(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: there\ncontexts:\n- name: there\n  context: {{cluster: c, user: u}}\n\
         clusters:\n- name: c\n  cluster: {{{cluster}}}\nusers:\n- name: u\n  user: {{{user}}}\n"
    )
}

async fn problem(text: &str) -> Problem {
    read(text.as_bytes(), Allowed::default()).await.map(|config| config.cluster_url).expect_err(text)
}

#[tokio::test]
async fn server_and_token_are_taken() {
    let config =
        read(text("server: 'https://there.example:6443/k8s'", "token: abc").as_bytes(), Allowed::default()).await;
    let config = config.expect("complete");
    assert_eq!(config.cluster_url, "https://there.example:6443/k8s");
    assert!(config.auth_info.token.is_some() && !config.accept_invalid_certs);
    assert!(config.auth_info.exec.is_none() && config.proxy_url.is_none());
}

#[tokio::test]
async fn what_would_reach_into_the_daemons_own_machine_is_refused_by_name() {
    let server = "server: 'https://there.example'";
    let rows = [
        (server, "exec: {command: /bin/sh, args: [-c, id], apiVersion: client.authentication.k8s.io/v1}", "exec"),
        (server, "auth-provider: {name: gcp}", "auth-provider"),
        (server, "tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token", "tokenFile"),
        (server, "client-certificate: /etc/c.pem", "client-certificate"),
        (server, "token: a, client-key: /etc/k.pem", "client-key"),
        ("server: 'https://there.example', certificate-authority: /etc/ca.pem", "token: a", "certificate-authority"),
        ("server: 'https://there.example', proxy-url: 'http://proxy'", "token: a", "proxy-url"),
        (server, "token: a, as: admin", "as"),
        (server, "token: a, as-groups: ['system:masters']", "as-groups"),
    ];
    for (cluster, user, field) in rows {
        let said = problem(&text(cluster, user)).await.to_string();
        assert!(said.contains(field), "{user}: {said}");
        assert!(!said.contains("/var/run") && !said.contains("/etc/"), "{said}");
    }
}

#[tokio::test]
async fn an_address_that_is_never_an_api_server_is_refused() {
    for host in [
        "169.254.169.254",
        "[fe80::1]",
        "0.0.0.0",
        "[::]",
        "[::ffff:169.254.169.254]",
        "100.100.100.200",
        "[fd00:ec2::254]",
    ] {
        assert_eq!(
            problem(&text(&format!("server: 'http://{host}/latest'"), "token: a")).await,
            Problem::Address,
            "{host}"
        );
    }
    for host in ["10.0.0.1", "127.0.0.1:6443", "[fd00::1]:6443", "kubernetes.default.svc"] {
        assert!(
            read(text(&format!("server: 'https://{host}'"), "").as_bytes(), Allowed::default()).await.is_ok(),
            "{host}"
        );
    }
    for server in ["file:///etc/passwd", "unix:/var/run/x", "there.example", ""] {
        let found = problem(&text(&format!("server: '{server}'"), "")).await;
        assert!(matches!(found, Problem::Malformed(_) | Problem::Missing(_)), "{server}: {found}");
    }
}

#[tokio::test]
async fn a_text_that_is_no_kubeconfig_is_told_without_being_quoted() {
    for junk in [
        "junk",
        "",
        "[]",
        "kind: Secret\ncurrent-context: s3cret",
        "a: s3cret: b",
        "current-context: s3cret",
        "current-context: [s3cret]",
    ] {
        let said = problem(junk).await.to_string();
        assert!(!said.contains("s3cret") && !said.contains("junk"), "{said}");
    }
    let broken = text("server: 'https://there.example', certificate-authority-data: 's3cret!'", "token: a");
    assert_eq!(problem(&broken).await, Problem::Malformed("clusters[].cluster.certificate-authority-data"));
    let no_pem =
        text("server: 'https://there.example', certificate-authority-data: 'anVuaw=='", "client-key-data: '!'");
    assert!(!problem(&no_pem).await.to_string().contains('!'));
}

#[tokio::test]
async fn certificates_are_checked_unless_flag_and_kubeconfig_both_say_not_to() {
    let asks = text("server: 'https://there.example', insecure-skip-tls-verify: true", "token: a");
    let plain = text("server: 'https://there.example'", "token: a");
    for (text, insecure_tls, expected) in
        [(&asks, false, false), (&asks, true, true), (&plain, true, false), (&plain, false, false)]
    {
        let config = read(text.as_bytes(), Allowed { insecure_tls }).await.expect("complete");
        assert_eq!(config.accept_invalid_certs, expected);
    }
}

/// Keys of a Secret, the one asked for, and what is read.
type Row<'a> = (&'a [&'a str], Option<&'a str>, Result<&'a str, &'a str>);

#[test]
fn the_key_is_the_one_asked_for_or_one_of_two() {
    let data = |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), key.as_bytes().to_vec())).collect();
    let rows: [Row; 6] = [
        (&["value", "value.yaml"], None, Ok("value")),
        (&["value.yaml"], None, Ok("value.yaml")),
        (&["custom", "value"], Some("custom"), Ok("custom")),
        (&["value"], Some(""), Ok("value")),
        (&["value"], Some("other"), Err("KubeConfig secret 'ns/k' does not contain a 'other' key with data")),
        (&[], None, Err("KubeConfig secret 'ns/k' does not contain a 'value' or 'value.yaml' key with data")),
    ];
    for (keys, key, expected) in rows {
        let data = data(keys);
        let picked = pick("ns/k", &data, key).map(|found| String::from_utf8_lossy(found).into_owned());
        assert_eq!(picked.map_err(|error| error.to_string()), expected.map(str::to_owned).map_err(str::to_owned));
    }
}
