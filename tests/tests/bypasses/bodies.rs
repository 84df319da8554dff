//! Odd bodies: text that JSON allows, and that the API server reads in its own way.

use anyhow::{Result, ensure};
use plimsoll_tests::Manifest;
use serde_json::{Value, json};

use crate::By::{ApiServer, FailurePolicy, Policy, TooLarge};
use crate::stage::{BAD, GOOD, LATEST, NEVER, REQUESTS, ROOT, Said, Theme, bad};
use crate::{Control, Tries, Try};

const IMAGE: &str = "\"image\":\"registry.example.com/shop:1.4.2\"";

pub(crate) const TRIES: Tries = Tries {
    theme: "Odd bodies",
    tries: &[
        Try {
            name: "duplicate-key",
            exploits: "the member twice, first good and then bad; the API server uses the last",
            by: Policy(&[LATEST]),
            run: |it| in_place_of_the_image(it, "twice", &format!("{IMAGE},\"image\":\"{BAD}\"")),
        },
        Try {
            name: "duplicate-parent",
            exploits: "`template` twice, each with its own spec",
            by: Policy(&[LATEST]),
            run: |it| {
                let [good, bad]: [Value; 2] =
                    [Manifest::good("Deployment", "parent").into(), bad("Deployment", "parent").into()];
                let twice =
                    format!("\"template\":{},\"template\":{}", good["spec"]["template"], bad["spec"]["template"]);
                replaced(it, &good, &format!("\"template\":{}", good["spec"]["template"]), &twice)
            },
        },
        Try {
            name: "escaped-key",
            exploits: "`\\u0069mage`, which is `image` to every parser and to no comparison of text",
            by: Policy(&[LATEST]),
            run: |it| in_place_of_the_image(it, "escaped", &format!("\"\\u0069mage\":\"{BAD}\"")),
        },
        Try {
            name: "escaped-key-after-the-plain-one",
            exploits: "both spellings of one key, of which only the second is bad",
            by: Policy(&[LATEST]),
            run: |it| in_place_of_the_image(it, "both", &format!("{IMAGE},\"im\\u0061ge\":\"{BAD}\"")),
        },
        Try {
            name: "escaped-value",
            exploits: "`:l\\u0061test`",
            by: Policy(&[LATEST]),
            run: |it| {
                let escaped = BAD.replace(":la", ":l\\u0061");
                in_place_of_the_image(it, "value", &format!("\"image\":\"{escaped}\""))
            },
        },
        Try {
            name: "key-with-a-nul",
            exploits: "a good `image` and a bad one whose key goes on behind a NUL, or the other way round",
            by: Policy(&[LATEST]),
            run: |it| {
                let text = format!("\"image\":\"{BAD}\",\"image\\u0000\":\"{GOOD}\"");
                in_place_of_the_image(it, "nul", &text)
            },
        },
        Try {
            name: "key-in-capitals",
            exploits: "`Image`, which decoders that take any case would read last",
            by: Policy(&[LATEST]),
            run: |it| in_place_of_the_image(it, "case", &format!("\"image\":\"{BAD}\",\"Image\":\"{GOOD}\"")),
        },
        Try {
            name: "null-member",
            exploits: "`resources: null`, which is there and is nothing",
            by: Policy(&[REQUESTS]),
            run: |it| {
                let mut object: Value = Manifest::good("Deployment", "null").into();
                object["spec"]["template"]["spec"]["containers"][0]["resources"] = Value::Null;
                it.create(object)
            },
        },
        Try {
            name: "null-request",
            exploits: "`memory: null` in `requests`: the API server makes a quantity of 0 of it",
            by: Policy(&[REQUESTS]),
            run: |it| {
                let mut object: Value = Manifest::good("Deployment", "null-request").into();
                object["spec"]["template"]["spec"]["containers"][0]["resources"] =
                    json!({"requests": {"cpu": "1", "memory": null}});
                it.create(object)
            },
        },
        Try {
            name: "null-override",
            exploits: "`runAsNonRoot: null` in the container and in the Pod",
            by: Policy(&[ROOT]),
            run: |it| {
                let mut object: Value = Manifest::good("Deployment", "null-override").into();
                let spec = &mut object["spec"]["template"]["spec"];
                spec["securityContext"] = json!({"runAsNonRoot": null, "seccompProfile": {"type": "RuntimeDefault"}});
                spec["containers"][0]["securityContext"]["runAsNonRoot"] = Value::Null;
                it.create(object)
            },
        },
        Try {
            name: "number-as-text",
            exploits: "`runAsUser: \"0\"`: text to a policy, root to a lenient reader",
            by: ApiServer("cannot unmarshal string"),
            run: |it| user(it, "text", "\"0\""),
        },
        Try {
            name: "negative-zero",
            exploits: "`runAsUser: -0`",
            by: Policy(&[NEVER]),
            run: |it| user(it, "minus", "-0"),
        },
        Try {
            name: "number-that-wraps-around",
            exploits: "`runAsUser: 18446744073709551616`, which overflows to 0 in 64 bits",
            by: ApiServer("cannot unmarshal number"),
            run: |it| user(it, "wraps", "18446744073709551616"),
        },
        Try {
            name: "fraction-in-a-custom-resource",
            exploits: "`runAsUser: 0.0` in a Rollout, whose schema takes any number",
            by: Policy(&[NEVER]),
            run: |it| {
                let object = rollout("fraction", |template| {
                    template["spec"]["containers"][0]["securityContext"]["runAsUser"] = json!(77_777);
                });
                replaced(it, &object, "77777", "0.0")
            },
        },
        Try {
            name: "deep-nesting",
            exploits: "600 levels in a custom resource, more than Plimsoll reads",
            by: FailurePolicy,
            run: |it| it.create(rollout("deep", |template| template["deep"] = nested(600))),
        },
        Try {
            name: "three-megabytes",
            exploits: "2.9 MB of environment around the one bad line",
            by: Policy(&[LATEST]),
            run: |it| dry(it, large(bad("Deployment", "large"), 2_900_000)),
        },
        Try {
            name: "a-million-values",
            exploits: "more arguments than the maximum number of values, so that Plimsoll gives up",
            by: TooLarge,
            run: |it| dry(it, bad("Deployment", "many").pod("/containers/0/args", json!(vec![""; 1_040_000]))),
        },
        Try {
            name: "many-containers",
            exploits: "the bad container after 300 good ones",
            by: Policy(&[LATEST]),
            run: |it| {
                let crowd = (0..300).fold(Manifest::good("Deployment", "crowd"), |object, number| {
                    object.container(&format!("c{number}"), 9000 + number)
                });
                dry(it, crowd.pod("/containers/300/image", json!(BAD)))
            },
        },
        Try {
            name: "big-annotations",
            exploits: "250 KB of annotations",
            by: Policy(&[LATEST]),
            run: |it| {
                it.create(
                    bad("Deployment", "annotated")
                        .with("/metadata/annotations", json!({"example.com/a": "a".repeat(250_000)})),
                )
            },
        },
        Try {
            name: "yaml-with-an-anchor",
            exploits: "YAML in which an alias stands for the image",
            by: Policy(&[LATEST]),
            run: |it| {
                let object: Value = Manifest::good("Deployment", "yaml").into();
                let text = object.to_string().replace(&GOOD.replace("1.5.0", "1.4.2"), "@").replace("\"@\"", "*image");
                let text = format!("{{\"x\":&image \"{BAD}\",{}", text.trim_start_matches('{'));
                let place = crate::stage::collection("Deployment", it.namespace.name());
                it.send("POST", &place, &[("content-type", "application/yaml")], text.as_bytes())
            },
        },
    ],
    controls: &[
        Control {
            name: "duplicate-key",
            run: |it| in_place_of_the_image(it, "good-twice", &format!("\"image\":\"{BAD}\",\"image\":\"{GOOD}\"")),
        },
        Control {
            name: "escaped-key",
            run: |it| in_place_of_the_image(it, "good-escaped", &format!("\"\\u0069mage\":\"{GOOD}\"")),
        },
        Control { name: "negative-zero", run: |it| user(it, "good-user", "1002") },
        Control { name: "fraction", run: |it| it.create(rollout("good-rollout", |_| {})) },
        Control { name: "nested", run: |it| it.create(rollout("nested", |template| template["deep"] = nested(200))) },
        Control {
            name: "three-megabytes",
            run: |it| dry(it, large(Manifest::good("Deployment", "good-large"), 2_900_000)),
        },
        Control {
            name: "many-values",
            run: |it| {
                dry(it, Manifest::good("Deployment", "good-many").pod("/containers/0/args", json!(vec![""; 100_000])))
            },
        },
    ],
};

/// A good Deployment with other text in place of the image.
fn in_place_of_the_image(it: &Theme, name: &str, text: &str) -> Result<Said> {
    replaced(it, &Manifest::good("Deployment", name).into(), IMAGE, text)
}

fn replaced(it: &Theme, object: &Value, what: &str, by: &str) -> Result<Said> {
    let text = object.to_string();
    ensure!(text.matches(what).count() == 1, "`{what}` stands not once in {text}");
    it.post(object["kind"].as_str().unwrap_or_default(), &text.replace(what, by))
}

fn user(it: &Theme, name: &str, user: &str) -> Result<Said> {
    let object = Manifest::good("Deployment", name).pod("/securityContext/runAsUser", json!(77_777));
    replaced(it, &object.into(), "77777", user)
}

/// Argo's Rollout, without a problem except for the change of its template.
pub(crate) fn rollout(name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut object: Value = Manifest::good("Deployment", name).into();
    object["apiVersion"] = "argoproj.io/v1alpha1".into();
    object["kind"] = "Rollout".into();
    object["spec"]["strategy"] = json!({"canary": {"maxSurge": 1, "maxUnavailable": 0}});
    change(&mut object["spec"]["template"]);
    object
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!("end"), |inner, _| json!([inner]))
}

fn large(object: Manifest, bytes: usize) -> Manifest {
    let parts: Vec<Value> =
        (0..29).map(|number| json!({"name": format!("V{number}"), "value": "v".repeat(bytes / 29)})).collect();
    object.pod("/containers/0/env", json!(parts))
}

/// A dry run, because etcd accepts less than the API server.
fn dry(it: &Theme, object: Manifest) -> Result<Said> {
    let path = format!("{}?dryRun=All", crate::stage::collection(object.kind(), it.namespace.name()));
    it.send("POST", &path, &[crate::stage::JSON], object.to_string().as_bytes())
}
