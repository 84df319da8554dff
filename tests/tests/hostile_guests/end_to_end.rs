//! Hostile policies in the real binary: behind a real API server, over TLS, and over files.

use std::collections::BTreeSet;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use plimsoll_tests::{
    ControlPlane, Manifest, Namespace, Options, Webhook, WebhookOptions, denied_policies, plimsoll_binary, rejects,
    warned_policies,
};

use super::bundle::HOSTILE;
use super::raw::{Memory, component};

/// The failing policies, and the kind of each failure.
const FAILS: [(&str, &str); 4] = [
    ("endless-loop", "deadline"),
    ("memory-bomb", "memory"),
    ("guest-panics", "trap"),
    ("undeclared-edit", "contract"),
];

fn set(name: &str, bundle: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {{name: {name}}}\n\
         spec: {{mode: enforce, profile: none, bundle: {bundle}, {spec}}}\n"
    )
}

#[test]
fn a_cluster_hears_of_each_failure_and_of_everything_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hostile.wasm");
    std::fs::write(&file, &*HOSTILE).unwrap();
    let ids: Vec<String> = FAILS.iter().map(|(id, _)| format!("{{id: {id}}}")).collect();
    let policies = format!("policies: [{{id: well-behaved, action: Warn}}, {}]", ids.join(", "));
    let bundle = file.to_str().unwrap();
    let control_plane = ControlPlane::start(&Options::default()).unwrap();
    let deployment = |name: &str| Manifest::good("Deployment", name).to_string();

    // By default a failure denies. The built-in policies of another set still count.
    {
        let config = set("hostile", bundle, &policies)
            + &set("builtin", "builtin", "policies: [{id: latest-image-tag, action: Deny}]");
        let cache = folder.path().join("cache");
        let mut options = WebhookOptions::with_config(&config);
        options.arguments = vec!["--bundle-cache".to_owned(), cache.to_str().unwrap().to_owned()];
        let webhook = Webhook::start(&control_plane, &options).unwrap();
        let namespace = Namespace::new(&control_plane, "hostile").unwrap();
        let denying: Vec<&str> = FAILS.iter().map(|(id, _)| *id).collect();
        for name in ["one", "two", "three"] {
            let started = Instant::now();
            namespace.run(&[rejects("failures deny", &deployment(name), &denying)]).unwrap();
            assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
        }
        let latest = Manifest::good("Deployment", "latest").pod("/containers/0/image", "a/b:latest".into());
        let answer = namespace.kubectl().apply(&latest.to_string()).unwrap();
        let denied = denied_policies(&answer.stderr).unwrap_or_default();
        let expected: BTreeSet<String> =
            denying.iter().chain(&["latest-image-tag"]).map(|id| (*id).to_owned()).collect();
        assert_eq!(denied, expected, "{}", answer.stderr);
        for words in [
            "could not be judged: the policy did not end in time",
            "more memory than it may",
            "Warning: well-behaved: ",
        ] {
            assert!(answer.stderr.contains(words), "{}", answer.stderr);
        }

        let log = webhook.log();
        let metrics = metrics(&control_plane, &webhook);
        for (id, kind) in FAILS {
            let logged = log.lines().filter(|line| line.contains("a policy failed") && line.contains(id)).count();
            assert_eq!(logged, 1, "{id} must be logged once for all reviews:\n{log}");
            let labels = format!("plimsoll_policy_failures_total{{policy=\"{id}\",kind=\"{kind}\"}}");
            let line = metrics.lines().find(|line| line.starts_with(&labels)).unwrap_or_default();
            let count: f64 = line.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default();
            assert!(count >= 4.0, "{labels} is {count}:\n{metrics}");
        }
        assert!(cache.join("key").exists());
    }

    // With `onError: Warn`, a failure only warns.
    let _webhook = Webhook::start(
        &control_plane,
        &WebhookOptions::with_config(&set("hostile", bundle, &(policies + ", onError: Warn"))),
    )
    .unwrap();
    let namespace = Namespace::new(&control_plane, "hostile").unwrap();
    let answer = namespace.kubectl().apply(&deployment("passes")).unwrap();
    assert!(answer.status.success(), "{}", answer.stderr);
    let warned: BTreeSet<String> = FAILS.iter().map(|(id, _)| *id).chain(["well-behaved"]).map(str::to_owned).collect();
    assert_eq!(warned_policies(&answer.stderr), warned, "{}", answer.stderr);
}

/// kubectl serves as the HTTPS client here.
fn metrics(control_plane: &ControlPlane, webhook: &Webhook) -> String {
    let server = format!("--server=https://127.0.0.1:{}", webhook.port());
    control_plane.kubectl().ok(&[&server, "--insecure-skip-tls-verify", "get", "--raw", "/metrics"]).unwrap()
}

#[test]
fn a_check_says_which_policy_failed_and_exits_with_5() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| std::fs::write(folder.path().join(name), text).unwrap();
    write("hostile.wasm", &HOSTILE);
    write("pod.yaml", Manifest::good("Pod", "good").to_string().as_bytes());
    let check = |config: &str, arguments: &[&str]| -> Output {
        write("config.yaml", config.as_bytes());
        let mut command = Command::new(plimsoll_binary().unwrap());
        command.current_dir(folder.path()).args(["check", "--config=config.yaml", "--color=never", "pod.yaml"]);
        command.args(arguments).output().unwrap()
    };
    let ids: Vec<String> = FAILS.iter().map(|(id, _)| format!("{{id: {id}}}")).collect();
    let policies = format!("policies: [{{id: well-behaved}}, {}]", ids.join(", "));
    let hostile = set("hostile", "hostile.wasm", &policies);

    let output = check(&hostile, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(text.contains("a policy failed") && text.contains("well-behaved"), "{text}");
    for (id, _) in FAILS {
        assert!(text.contains(id), "{id} is missing: {text}");
    }
    let report = check(&hostile, &["--format=json"]).stdout;
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert!(FAILS.iter().all(|(id, _)| report.to_string().contains(id)), "{report}");

    // The code is compiled once, cached, and then reused. A folder that other users can write is refused as a cache.
    for _ in 0..2 {
        assert_eq!(check(&hostile, &["--bundle-cache=cache"]).status.code(), Some(5));
    }
    let code = std::fs::read_dir(folder.path().join("cache")).unwrap().count();
    assert_eq!(code, 2, "the key, and the code of one bundle");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path().join("cache"), open).unwrap();
    let output = check(&hostile, &["--bundle-cache=cache"]);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(complaint.contains("0777") && complaint.contains("chmod 700"), "{complaint}");

    // A bundle with wrong contents is an error of the configuration. The message has its place, and the reason.
    write("lies.wasm", &component(&Memory::default(), "(i32.const 0)")[..600]);
    let output = check(&set("lies", "lies.wasm", "policies: []"), &[]);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(complaint.contains("config.yaml:5:") && complaint.contains("`lies.wasm` cannot be used"), "{complaint}");
}
