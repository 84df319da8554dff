//! Direct requests to Plimsoll that no API server would send. No answer may be `allowed: true`.

use anyhow::Result;
use plimsoll_tests::Manifest;
use serde_json::{Value, json};

use crate::By::{Answer, Policy, Status};
use crate::stage::{JSON, LATEST, Said, Theme, bad};
use crate::{Control, Tries, Try};

pub(crate) const TRIES: Tries = Tries {
    theme: "Asked directly",
    tries: &[
        Try {
            name: "path-of-a-policy",
            exploits: "a path that names a policy, known or not",
            by: Status(&[404]),
            run: |it| it.ask("/validate/latest-image-tag", &[JSON], &whole(&wrong())),
        },
        Try {
            name: "path-with-a-slash",
            exploits: "`/validate/`",
            by: Status(&[404]),
            run: |it| it.ask("/validate/", &[JSON], &whole(&wrong())),
        },
        Try {
            name: "another-method",
            exploits: "PUT",
            by: Status(&[405]),
            run: |it| Ok(Said::of_webhook(it.stage.hook.send("PUT", "/validate", &[JSON], &whole(&wrong()))?)),
        },
        Try {
            name: "another-operation",
            exploits: "an operation that Kubernetes does not have",
            by: Answer("`operation` is not one of"),
            run: |it| asked(it, with("operation", json!("create"))),
        },
        Try {
            name: "no-operation",
            exploits: "no operation at all",
            by: Answer("`operation` is not one of"),
            run: |it| asked(it, with("operation", Value::Null)),
        },
        Try {
            name: "kind-that-is-not-the-resource",
            exploits: "a Deployment in the resource `configmaps`",
            by: Policy(&[LATEST]),
            run: |it| asked(it, with("resource", json!({"group": "", "version": "v1", "resource": "configmaps"}))),
        },
        Try {
            name: "request-kind-that-is-not-the-kind",
            exploits: "`requestKind`, the kind before the API server's conversion",
            by: Policy(&[LATEST]),
            run: |it| asked(it, with("requestKind", json!({"group": "", "version": "v1", "kind": "ConfigMap"}))),
        },
        Try {
            name: "kind-in-another-version",
            exploits: "an unknown version of a known kind",
            by: Policy(&[LATEST]),
            run: |it| asked(it, with("kind", json!({"group": "apps", "version": "v9", "kind": "Deployment"}))),
        },
        Try {
            name: "no-object",
            exploits: "a CREATE without an object",
            by: Answer("`object` is not an object"),
            run: |it| {
                let mut review = wrong();
                review["request"].as_object_mut().map(|request| request.remove("object"));
                asked(it, review)
            },
        },
        Try {
            name: "null-object",
            exploits: "a CREATE of `null`",
            by: Answer("`object` is not an object"),
            run: |it| asked(it, with("object", Value::Null)),
        },
        Try {
            name: "object-as-text",
            exploits: "the object as a string of JSON",
            by: Answer("`object` is not an object"),
            run: |it| asked(it, with("object", json!(bad("Deployment", "web").to_string()))),
        },
        Try {
            name: "no-uid",
            exploits: "no uid, so that no answer is possible",
            by: Status(&[400]),
            run: |it| asked(it, with("uid", Value::Null)),
        },
        Try {
            name: "another-version-of-the-review",
            exploits: "`admission.k8s.io/v1beta1`",
            by: Status(&[400]),
            run: |it| {
                let mut review = wrong();
                review["apiVersion"] = "admission.k8s.io/v1beta1".into();
                asked(it, review)
            },
        },
        Try {
            name: "two-requests",
            exploits: "`request` twice, good and then bad",
            by: Policy(&[LATEST]),
            run: |it| {
                let (good, bad) = (review(&Manifest::good("Deployment", "web")), wrong());
                let text = good.to_string();
                let opened = text.strip_suffix('}').unwrap_or(&text);
                let twice = format!("{opened},\"request\":{}}}", bad["request"]);
                it.ask("/validate", &[JSON], twice.as_bytes())
            },
        },
        Try {
            name: "two-objects",
            exploits: "`object` twice within a request, good and then bad",
            by: Policy(&[LATEST]),
            run: |it| {
                let good: Value = Manifest::good("Deployment", "web").into();
                let text = wrong().to_string();
                let twice = text.replacen("\"object\":{", &format!("\"object\":{good},\"object\":{{"), 1);
                it.ask("/validate", &[JSON], twice.as_bytes())
            },
        },
        Try {
            name: "key-with-a-nul",
            exploits: "`image` and NUL before the bad `image`",
            by: Policy(&[LATEST]),
            run: |it| replaced(it, "\"image\":", "\"image\\u0000\":\"a:1\",\"image\":"),
        },
        Try {
            name: "escaped-key",
            exploits: "`\\u0069mage`",
            by: Policy(&[LATEST]),
            run: |it| replaced(it, "\"image\":", "\"\\u0069mage\":"),
        },
        Try {
            name: "half-a-surrogate",
            exploits: "an escape that is no character, in a key before the image",
            by: Policy(&[LATEST]),
            run: |it| replaced(it, "\"image\":", "\"\\ud800\":1,\"image\":"),
        },
        Try {
            name: "not-utf8",
            exploits: "bytes that are no text",
            by: Status(&[400]),
            run: |it| {
                let text = whole(&wrong());
                let at = text.iter().rposition(|byte| *byte == b'l').unwrap_or_default();
                let broken: Vec<u8> =
                    text.iter().enumerate().map(|(index, byte)| if index == at { 0xff } else { *byte }).collect();
                it.ask("/validate", &[JSON], &broken)
            },
        },
        Try {
            name: "byte-order-mark",
            exploits: "a byte order mark before the review",
            by: Status(&[400]),
            run: |it| it.ask("/validate", &[JSON], &[b"\xef\xbb\xbf".as_slice(), &whole(&wrong())].concat()),
        },
        Try {
            name: "trailing-garbage",
            exploits: "a second, good review behind the first",
            by: Status(&[400]),
            run: |it| {
                let good = whole(&review(&Manifest::good("Deployment", "web")));
                it.ask("/validate", &[JSON], &[whole(&wrong()), good].concat())
            },
        },
        Try {
            name: "deep-nesting",
            exploits: "600 levels beside the template",
            by: Status(&[400]),
            run: |it| {
                let deep = format!("\"deep\":{}1{},\"image\":", "[".repeat(600), "]".repeat(600));
                replaced(it, "\"image\":", &deep)
            },
        },
        Try {
            name: "too-large",
            exploits: "a body of 20 MiB and a byte",
            by: Status(&[413]),
            run: |it| {
                let mut body = whole(&wrong());
                body.resize((20 << 20) + 1, b' ');
                it.ask("/validate", &[JSON], &body)
            },
        },
        Try {
            name: "compressed",
            exploits: "`content-encoding: gzip`, in the hope that the body is not read",
            by: Status(&[400]),
            run: |it| {
                let empty = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                it.ask("/validate", &[JSON, ("content-encoding", "gzip")], &empty)
            },
        },
        Try {
            name: "charset",
            exploits: "`application/json; charset=utf-16`",
            by: Policy(&[LATEST]),
            run: |it| it.ask("/validate", &[("content-type", "application/json; charset=utf-16")], &whole(&wrong())),
        },
        Try {
            name: "another-content-type",
            exploits: "`application/yaml`, of which JSON is a part",
            by: Status(&[415]),
            run: |it| it.ask("/validate", &[("content-type", "application/yaml")], &whole(&wrong())),
        },
        Try {
            name: "body-that-never-ends",
            exploits: "a chunked body whose last chunk never arrives",
            by: Status(&[408]),
            run: |it| {
                let head: &[u8] = b"POST /validate?timeout=300ms HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                    content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
                let text = whole(&wrong());
                let piece = [format!("{:x}\r\n", text.len()).as_bytes(), &text, b"\r\n"].concat();
                Ok(Said::of_webhook(it.stage.hook.raw(&[head, &piece])?))
            },
        },
        Try {
            name: "no-time",
            exploits: "`?timeout=1ns`, so that no policy has time",
            by: Status(&[408, 503]),
            run: |it| it.ask("/validate?timeout=1ns", &[JSON], &whole(&wrong())),
        },
        Try {
            name: "time-that-is-none",
            exploits: "`?timeout=-1s`",
            by: Status(&[400]),
            run: |it| it.ask("/validate?timeout=-1s", &[JSON], &whole(&wrong())),
        },
        Try {
            name: "time-without-end",
            exploits: "`?timeout=` with a huge number of hours",
            by: Policy(&[LATEST]),
            run: |it| it.ask("/validate?timeout=999999999h", &[JSON], &whole(&wrong())),
        },
        Try {
            name: "dry-run",
            exploits: "`dryRun: true`",
            by: Policy(&[LATEST]),
            run: |it| asked(it, with("dryRun", json!(true))),
        },
        Try {
            name: "namespace-of-the-object",
            exploits: "an object whose namespace field names a namespace in `observe`",
            by: Policy(&[LATEST]),
            run: |it| asked(it, review(&bad("Deployment", "web").with("/metadata/namespace", json!("sandbox-1")))),
        },
        Try {
            name: "old-object-of-a-create",
            exploits: "a CREATE with an old object that has the same problem",
            by: Policy(&[LATEST]),
            run: |it| asked(it, with("oldObject", bad("Deployment", "web").with("/spec/paused", json!(true)).into())),
        },
    ],
    controls: &[
        Control { name: "review", run: |it| asked(it, review(&Manifest::good("Deployment", "web"))) },
        Control {
            name: "charset",
            run: |it| {
                let body = whole(&review(&Manifest::good("Deployment", "web")));
                it.ask("/validate?timeout=10s", &[("content-type", "application/json; charset=utf-8")], &body)
            },
        },
        Control {
            name: "pieces",
            run: |it| {
                let head: &[u8] = b"POST /validate HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                    content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
                let text = whole(&review(&Manifest::good("Deployment", "web")));
                let pieces = [format!("{:x}\r\n", text.len()).as_bytes(), &text, b"\r\n0\r\n\r\n"].concat();
                Ok(Said::of_webhook(it.stage.hook.raw(&[head, &pieces])?))
            },
        },
        Control {
            name: "almost-too-large",
            run: |it| {
                let mut body = whole(&review(&Manifest::good("Deployment", "web")));
                body.resize(20 << 20, b' ');
                it.ask("/validate", &[JSON], &body)
            },
        },
    ],
};

fn review(object: &Manifest) -> Value {
    let kind = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "a-uid", "kind": kind, "requestKind": kind,
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "name": object.name(), "namespace": "direct", "operation": "CREATE",
        "userInfo": {"username": "mallory", "groups": ["system:authenticated"]},
        "object": object.object(), "oldObject": null, "dryRun": false,
    }})
}

/// The review that must be denied.
fn wrong() -> Value {
    review(&bad("Deployment", "web"))
}

/// The same with another member of the request.
fn with(member: &str, value: Value) -> Value {
    let mut review = wrong();
    review["request"][member] = value;
    review
}

fn whole(review: &Value) -> Vec<u8> {
    review.to_string().into_bytes()
}

fn asked(it: &Theme, review: Value) -> Result<Said> {
    it.ask("/validate", &[JSON], &whole(&review))
}

/// The review that must be denied, as text in which one replacement is made.
fn replaced(it: &Theme, what: &str, by: &str) -> Result<Said> {
    let text = wrong().to_string();
    anyhow::ensure!(text.matches(what).count() == 1, "`{what}` stands not once in the review");
    it.ask("/validate", &[JSON], text.replace(what, by).as_bytes())
}
