//! The category `manifest`: what the API server refuses.

use serde_json::{Value, json};

use super::Folder;

/// No policy at all, so that the findings are those of the API server.
const CONFIG: &str = "\
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: tests}
spec:
  profile: none
";

/// A Deployment that the API server accepts. Line 10 is the last line of its Pod's spec before the containers.
const WEB: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 40
      containers:
      - name: app
        image: app:1.4.2
";

fn folder(files: &[(&str, &str)]) -> Folder {
    let folder = Folder::new(files);
    folder.write(".plimsoll.yaml", CONFIG);
    folder
}

/// The findings as `rule:line`, and the exit status.
#[track_caller]
fn found(text: &str) -> (String, i32) {
    let folder = folder(&[("a.yaml", text)]);
    let report = folder.json(&["a.yaml"]);
    let of = |finding: &Value| {
        let rule = finding["policy"].as_str().unwrap();
        assert_eq!(finding["category"], "manifest", "{finding}");
        let mark = if finding["action"] == "Deny" { "" } else { "?" };
        format!("{rule}{mark}:{}", finding["line"])
    };
    let found: Vec<String> = report["findings"].as_array().unwrap().iter().map(of).collect();
    (found.join(" "), i32::try_from(report["summary"]["exitStatus"].as_i64().unwrap()).unwrap())
}

/// [`WEB`] with more lines in its only container.
fn container(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("        {line}\n")).collect();
    format!("{WEB}{lines}")
}

#[test]
fn each_fault_is_denied_at_its_line() {
    let replaced = |from: &str, to: &str| {
        assert!(WEB.contains(from), "{from}");
        WEB.replace(from, to)
    };
    let hpa = "\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  maxReplicas: 9
  targetCPUUtilizationPercentage: 60
";
    let cron = "\
apiVersion: batch/v1
kind: CronJob
metadata: {name: sweep}
spec:
  schedule: 0 3 * * *
  jobTemplate:
    spec:
      securityContext: {runAsNonRoot: true}
      template:
        spec:
          restartPolicy: OnFailure
          containers: [{name: sweep, image: sweep:1.4.2}]
";
    let port = |port: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec:\n  selector: {{app: web}}\n  ports:\n  - port: {port}\n"
        )
    };
    let cases: &[(&str, &str, String)] = &[
        ("a word for a mapping", "wrong-type:14", container("resources: LATER")),
        ("a field of an older version", "unknown-field:7", hpa.to_owned()),
        ("an empty probe", "missing-field:14", container("readinessProbe: {}")),
        (
            "a probe with two handlers",
            "exclusive-fields:15",
            container("readinessProbe:\n  tcpSocket: {port: 80}\n  httpGet: {port: 80}"),
        ),
        ("a number as a label", "wrong-type:6 wrong-type:8", WEB.replace("{app: web}", "{app: 2024}")),
        ("a number as a name", "wrong-type:3", replaced("metadata: {name: web}", "metadata: {name: 2024}")),
        (
            "no containers",
            "missing-field:11",
            replaced("      containers:\n      - name: app\n        image: app:1.4.2\n", "      containers: []\n"),
        ),
        (
            "Recreate with rollingUpdate",
            "exclusive-fields:8",
            replaced("  template:", "  strategy:\n    type: Recreate\n    rollingUpdate: {maxSurge: 1}\n  template:")
                .replace("  replicas: 3\n", ""),
        ),
        (
            "Recreate with an empty rollingUpdate",
            "exclusive-fields:8",
            replaced("  template:", "  strategy:\n    type: Recreate\n    rollingUpdate: {}\n  template:")
                .replace("  replicas: 3\n", ""),
        ),
        ("a number as a variable", "wrong-type:15", container("env:\n- {name: PORT, value: 8080}")),
        ("a placeholder", "placeholder:5", replaced("replicas: 3", "replicas: ${REPLICAS}")),
        ("a field of the Pod in a Job", "misplaced-field:8", cron.to_owned()),
        (
            "a probe of an init container",
            "exclusive-fields:11",
            replaced(
                "      containers:",
                "      initContainers: [{name: wait, image: wait:1, readinessProbe: {tcpSocket: {port: 80}}}]\n      containers:",
            ),
        ),
        ("a field of the Pod in a container", "misplaced-field:14", container("terminationGracePeriodSeconds: 60")),
        ("a misspelt field", "unknown-field:14", container("readinesProbe: {tcpSocket: {port: 80}}")),
        ("no selector", "missing-field:4", replaced("  selector: {matchLabels: {app: web}}\n", "")),
        (
            "a request above its limit",
            "dependent-fields:14",
            container("resources: {requests: {cpu: 200m}, limits: {cpu: 100m}}"),
        ),
        ("a port as text", "wrong-type:14", container("ports: [{containerPort: \"8080\"}]")),
        ("a port out of range", "out-of-range:14", container("ports: [{containerPort: 80800}]")),
        ("a port without a number", "missing-field:14", container("ports: [{name: http}]")),
        ("a quantity of no unit", "invalid-quantity:14", container("resources: {limits: {memory: 256MB}}")),
        ("a label with a blank", "invalid-label:3", replaced("{name: web}", "{name: web, labels: {app: a b}}")),
        ("a mount without a volume", "unknown-reference:14", container("volumeMounts: [{name: data, mountPath: /x}]")),
        (
            "a restart policy of Jobs",
            "not-one-of:10",
            replaced("terminationGracePeriodSeconds: 40", "restartPolicy: Never"),
        ),
        ("a word as a port", "wrong-type:7", port("eighty")),
        ("an unknown strategy", "not-one-of:7", replaced("  template:", "  strategy: {type: Other}\n  template:")),
        (
            "seccomp on Windows",
            "exclusive-fields:11",
            replaced(
                "terminationGracePeriodSeconds: 40",
                "os: {name: windows}\n      securityContext: {seccompProfile: {type: RuntimeDefault}}",
            ),
        ),
    ];
    let mut wrong = Vec::new();
    for (what, expected, text) in cases {
        let (found, status) = found(text);
        if found != *expected || status != 1 {
            wrong.push(format!("{what}: {found}, not {expected} (status {status})"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Objects that look wrong, and that the API server accepts.
#[test]
fn what_is_accepted_stays_so() {
    let null = WEB.replace("  template:", "  strategy:\n    type: Recreate\n    rollingUpdate:\n  template:");
    for text in [
        WEB.to_owned(),
        null,
        container("resources: {limits: {memory: 256}}"),
        container("env: [{name: PORT, value: \"8080\"}]"),
        // Other objects are not known.
        container("envFrom: [{configMapRef: {name: unknown}}]"),
        // Not an object of the cluster, but a patch.
        WEB.replace("        image: app:1.4.2\n", "        imagePullPolicy: Allways\n"),
    ] {
        let (found, status) = found(&text);
        assert_eq!(found, "", "{text}");
        assert!(status == 0 || text.contains("Allways"), "{status}: {text}");
    }
}

#[test]
fn warnings_of_the_api_server_deny_nothing() {
    let (found, status) = found(&container("resources: {limits: {memory: 256m}}"));
    assert_eq!((found.as_str(), status), ("server-warning?:14", 0));
}

#[test]
fn a_report_for_people() {
    let folder = folder(&[("web.yaml", &container("readinesProbe: {tcpSocket: {port: 80}}"))]);
    let run = folder.check(&["web.yaml"]);
    // The message is that of the rule.
    let (first, rest) = run.out.split_once('\n').unwrap();
    assert!(first.starts_with("error[unknown-field]: ") && first.contains("`readinesProbe`"), "{first}");
    let expected = "  --> web.yaml:14:24
   |
14 |         readinesProbe: {tcpSocket: {port: 80}}
   |                        ^^^^^^^^^^^^^^^^^^^^^^^
   |
   = note: Deployment web at /spec/template/spec/containers/0/readinesProbe
   = help: write `readinessProbe`
   = help: `--fix=safe`: rename `readinesProbe` to `readinessProbe`

1 object in 1 file: 1 denied, 0 warned, 0 recorded
The cluster would deny this.
";
    assert_eq!(rest, expected);
    assert_eq!(run.status, 1);
}

#[test]
fn fixes_rename_move_and_replace() {
    let before = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicaz: 3   # as in production
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: app
        image: app:1.4.2
        terminationGracePeriodSeconds: 60
        # The only port.
        ports: [{containerPort: \"8080\"}]
";
    let after = before
        .replace("replicaz", "replicas")
        .replace("        terminationGracePeriodSeconds: 60\n", "")
        .replace("\"8080\"}]\n", "8080}]\n      terminationGracePeriodSeconds: 60\n");
    let folder = folder(&[("web.yaml", before)]);
    let run = folder.check(&["web.yaml", "--fix=safe"]);
    assert_eq!(folder.read("web.yaml"), after, "{}", run.out);
    assert_eq!(run.status, 0, "{}", run.out);
    let fixed = "fixed: misplaced-field, unknown-field, wrong-type in 1 file\n";
    assert!(run.out.contains(fixed), "{}", run.out);
}

/// A misspelt field gets its name before a policy can add the right field.
#[test]
fn a_rule_is_fixed_before_a_policy() {
    let text = container("securityContext: {alowPrivilegeEscalation: true}");
    let folder = folder(&[("web.yaml", &text)]);
    folder.write(
        ".plimsoll.yaml",
        &CONFIG.replace("profile: none\n", "profile: none\n  policies: [{id: privilege-escalation}]\n"),
    );
    let run = folder.check(&["web.yaml", "--fix=hardening"]);
    assert_eq!(folder.read("web.yaml"), text.replace("alow", "allow"), "{}", run.out);
}

#[test]
fn a_policy_set_caps_the_category() {
    let text = WEB.replace("replicas: 3", "replicas: three").replace("{name: web}", "{name: web, namespace: other}");
    let folder = folder(&[("web.yaml", &text)]);
    let set = |line: &str| folder.write(".plimsoll.yaml", &format!("{CONFIG}  {line}\n"));
    for (action, status, count) in [("Deny", 1, 1), ("Warn", 0, 1), ("Audit", 0, 1), ("\"Off\"", 0, 0)] {
        set(&format!("categories: [{{name: manifest, action: {action}}}]"));
        let report = folder.json(&["web.yaml"]);
        assert_eq!(report["summary"]["exitStatus"], status, "{action}");
        assert_eq!(report["findings"].as_array().unwrap().len(), count, "{action}");
    }
    // The set is for another namespace.
    set("match: {namespaces: [shop]}\n  categories: [{name: manifest, action: Warn}]");
    assert_eq!(folder.check(&["web.yaml"]).status, 1);
    set("policies: [{id: wrong-type, action: Warn}]");
    let run = folder.check(&["web.yaml"]);
    assert_eq!(run.status, 2);
    let message = "`wrong-type` is no policy but a rule of the API server, and a PolicySet cannot change a single rule; \
                   write `categories: [{name: manifest, action: Warn}]` to lower all of them";
    assert!(run.err.contains(message), "{}", run.err);
}

#[test]
fn an_annotation_silences_nothing() {
    let annotation = "{name: web, annotations: {plimsoll.dev/ignore.wrong-type: it works}}";
    let text = WEB.replace("{name: web}", annotation).replace("replicas: 3", "replicas: three");
    let run = folder(&[("web.yaml", &text)]).check(&["web.yaml"]);
    assert_eq!(run.status, 1);
    assert!(run.out.contains("error[wrong-type]"), "{}", run.out);
}

#[test]
fn custom_kinds_are_counted() {
    let rollout = |name: &str| {
        format!("---\napiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {{name: {name}}}\nspec: {{x: 1}}\n")
    };
    let folder = folder(&[("a.yaml", &format!("{WEB}{}{}", rollout("a"), rollout("b"))), ("b.yaml", &rollout("c"))]);
    let run = folder.check(&["a.yaml"]);
    let line = "2 objects of 1 custom kind have no schema: their fields are not checked; `--verbose` lists them\n";
    assert!(run.out.contains(line), "{}", run.out);
    let run = folder.check(&["b.yaml", "--verbose"]);
    let lines = "no schema: Rollout of argoproj.io/v1alpha1 (1 object)\n1 object of 1 custom kind has no schema: its fields are not checked\n";
    assert!(run.out.contains(lines), "{}", run.out);
    let report = folder.json(&["a.yaml"]);
    let expected = json!([{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "count": 2}]);
    assert_eq!(report["summary"]["unchecked"], expected);
}

#[test]
fn the_version_of_kubernetes_decides() {
    let text = container("restartPolicyRules: []\nrestartPolicy: Always");
    let folder = folder(&[("web.yaml", &text)]);
    let of =
        |version: &str| folder.check(&["web.yaml", "--kubernetes-version", version]).out.contains("restartPolicyRules");
    assert!(of("1.32") && of("1.20"), "1.34 has it first");
    assert!(!of("1.35") && !of("1.99"));
}

#[test]
fn a_rule_has_a_page() {
    let folder = folder(&[]);
    let run = super::plimsoll(folder.0.path(), "", &["explain", "misplaced-field"]);
    assert_eq!(run.status, 0, "{}", run.err);
    let start = "# misplaced-field\n\nEvery field is at the place where the kind has it.\n";
    assert!(run.out.starts_with(start) && run.out.contains("## What the API server refuses\n"), "{}", run.out);
    let run = super::plimsoll(folder.0.path(), "", &["explain", "misplaced-fields"]);
    assert!(run.err.contains("did you mean `misplaced-field`?"), "{}", run.err);
}
