//! Users and namespaces of a request.

use anyhow::{Context as _, Result, ensure};
use plimsoll_tests::{Manifest, Namespace, PLAIN, User};
use serde_json::{Value, json};

use crate::By::{ApiServer, Lenient, Policy};
use crate::stage::{JSON, LATEST, Said, Theme, bad, collection};
use crate::{Control, Tries, Try};

pub(crate) const TRIES: Tries = Tries {
    theme: "Who and where",
    tries: &[
        Try {
            name: "glass-broken-without-the-right",
            exploits: "`--as=fire-brigade` by a user without the right to impersonate",
            by: ApiServer("cannot impersonate"),
            run: |it| plain(it, &User::new("fire-brigade", &[])),
        },
        Try {
            name: "group-without-the-right",
            exploits: "`--as-group=on-call`, with the user's own name",
            by: ApiServer("cannot impersonate"),
            run: |it| plain(it, &User::new(PLAIN, &["on-call"])),
        },
        Try {
            name: "user-named-as-the-group",
            exploits: "a user whose name is that of the break-glass group",
            by: Policy(&[LATEST]),
            run: |it| by(it, "on-call", &["system:masters"], "user-as-group"),
        },
        Try {
            name: "group-named-as-the-user",
            exploits: "a group whose name is that of the break-glass user",
            by: Policy(&[LATEST]),
            run: |it| by(it, "mallory", &["system:masters", "fire-brigade"], "group-as-user"),
        },
        Try {
            name: "nearly-the-user",
            exploits: "the break-glass user in capitals",
            by: Policy(&[LATEST]),
            run: |it| by(it, "Fire-Brigade", &["system:masters"], "capitals"),
        },
        Try {
            name: "nearly-the-group",
            exploits: "groups that begin or end like the break-glass group",
            by: Policy(&[LATEST]),
            run: |it| by(it, "mallory", &["system:masters", "on-call-2", "team:on-call"], "nearly"),
        },
        Try {
            name: "nearly-the-operator",
            exploits: "the trusted operator's account in another namespace",
            by: Policy(&[LATEST]),
            run: |it| by(it, "system:serviceaccount:operators-2:database", &["system:masters"], "operator"),
        },
        Try {
            name: "another-account-of-kube-system",
            exploits: "a service account in kube-system that is no controller, with a real owner",
            by: Policy(&[LATEST]),
            run: |it| owned_by(it, "system:serviceaccount:kube-system:replicaset-controller-2", "no-controller"),
        },
        Try {
            name: "controller-of-another-namespace",
            exploits: "`replicaset-controller` in a namespace whose name ends in kube-system",
            by: Policy(&[LATEST]),
            run: |it| owned_by(it, "system:serviceaccount:my-kube-system:replicaset-controller", "other-controller"),
        },
        Try {
            name: "controller-by-its-bare-name",
            exploits: "a user whose name is the controller's, without the namespace",
            by: Policy(&[LATEST]),
            run: |it| owned_by(it, "replicaset-controller", "bare-controller"),
        },
        Try {
            name: "collector-that-makes-pods",
            exploits: "the garbage collector's account, whose deletions are not reviewed",
            by: Lenient(LATEST),
            run: |it| {
                let collector = "system:serviceaccount:kube-system:generic-garbage-collector";
                by(it, collector, &["system:masters"], "collected")
            },
        },
        Try {
            name: "namespace-like-kube-system",
            exploits: "a namespace `kube-system-…`, because kube-system is exempt",
            by: Policy(&[LATEST]),
            run: |it| elsewhere(it, "kube-system", &[]),
        },
        Try {
            name: "namespace-labelled-as-kube-system",
            exploits: "the label of kube-system, on the user's own namespace",
            by: Policy(&[LATEST]),
            run: |it| elsewhere(it, "labelled", &[("kubernetes.io/metadata.name", "kube-system")]),
        },
        Try {
            name: "namespace-that-opts-out",
            exploits: "labels that exempt a namespace from other webhooks, and labels with names like Plimsoll's",
            by: Policy(&[LATEST]),
            run: |it| {
                let labels = [
                    ("plimsoll.dev/mode", "off"),
                    ("plimsoll.dev/ignore", "true"),
                    ("admission.gatekeeper.sh/ignore", "true"),
                    ("control-plane", "true"),
                    ("pod-security.kubernetes.io/enforce", "privileged"),
                ];
                elsewhere(it, "opted-out", &labels)
            },
        },
        Try {
            name: "namespace-nearly-in-observe",
            exploits: "a namespace that begins like those in mode `observe`",
            by: Policy(&[LATEST]),
            run: |it| elsewhere(it, "sandboxes", &[]),
        },
        Try {
            name: "namespace-nearly-off",
            exploits: "a namespace that begins with the whole name of one in mode `off`",
            by: Policy(&[LATEST]),
            run: |it| elsewhere(it, "playground", &[]),
        },
        Try {
            name: "namespace-in-the-object",
            exploits: "an object that names a namespace in `observe`, sent to another one",
            by: ApiServer("does not match the namespace"),
            run: |it| it.create(bad("Deployment", "away").with("/metadata/namespace", json!("sandbox-1"))),
        },
        Try {
            name: "namespace-being-deleted",
            exploits: "an update in a namespace that is being deleted, where deletions are accepted",
            by: Policy(&[LATEST]),
            run: |it| {
                let place = terminating(it)?;
                let patch =
                    json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "a:latest"}]);
                it.patch(&place, "json", &patch)
            },
        },
        Try {
            name: "made-in-a-namespace-being-deleted",
            exploits: "a new object there",
            by: ApiServer("because it is being terminated"),
            run: |it| {
                let place = terminating(it)?;
                let (path, _) = place.rsplit_once('/').context("no path")?;
                it.send("POST", path, &[JSON], bad("Deployment", "late").to_string().as_bytes())
            },
        },
        Try {
            name: "exemption-that-is-over",
            exploits: "an expired exemption",
            by: Policy(&[LATEST]),
            run: |it| it.create(bad("Deployment", "past")),
        },
        Try {
            name: "exemption-of-another-name",
            exploits: "an exempted name with a suffix",
            by: Policy(&[LATEST]),
            run: |it| it.create(bad("Deployment", "vendor-2")),
        },
        Try {
            name: "exemption-of-another-kind",
            exploits: "an exempted name on another kind",
            by: Policy(&[LATEST]),
            run: |it| it.create(bad("StatefulSet", "vendor")),
        },
        Try {
            name: "exemption-of-another-policy",
            exploits: "an exempted object that breaks another policy as well",
            by: Policy(&["missing-resource-requests"]),
            run: |it| it.create(bad("Deployment", "vendor").pod("/containers/0/resources", Value::Null)),
        },
        Try {
            name: "exemption-from-an-unlisted-namespace",
            exploits: "an exemption of a namespace that only another PolicySet trusts",
            by: Policy(&[LATEST]),
            run: |it| it.create(bad("Deployment", "own")),
        },
        Try {
            name: "exemption-by-generated-name",
            exploits: "`generateName` that begins with an exempted name",
            by: Policy(&[LATEST]),
            run: |it| {
                let named = bad("Deployment", "x").with("/metadata/name", Value::Null);
                it.create(named.with("/metadata/generateName", json!("vendor")))
            },
        },
    ],
    controls: &[
        Control { name: "broken-glass", run: |it| by(it, "fire-brigade", &["system:masters"], "brigade") },
        Control { name: "exemption", run: |it| it.create(bad("Deployment", "vendor")) },
        Control {
            name: "plain-user",
            run: |it| {
                let kubectl = it.stage.control_plane.kubectl_of(PLAIN)?.in_namespace(it.namespace.name());
                Ok(kubectl.create(&Manifest::good("Deployment", "plain").to_string())?.into())
            },
        },
        Control { name: "observe", run: |it| elsewhere(it, "sandbox", &[]) },
        Control {
            name: "labels",
            run: |it| {
                let labels = [("kubernetes.io/metadata.name", "kube-system")];
                let namespace = Namespace::with_labels(&it.stage.control_plane, "labelled", &labels)?;
                let path = collection("Deployment", namespace.name());
                it.send("POST", &path, &[JSON], Manifest::good("Deployment", "web").to_string().as_bytes())
            },
        },
    ],
};

/// A request of a user with limited rights who impersonates another user.
fn plain(it: &Theme, user: &User) -> Result<Said> {
    let kubectl = it.stage.control_plane.kubectl_of(PLAIN)?.in_namespace(it.namespace.name());
    // The checks of kubectl itself would refuse the request first.
    let create = ["create", "--validate=false", "--filename=-"];
    Ok(kubectl.acting_as(user).run(&create, Some(&bad("Deployment", "glass").to_string()))?.into())
}

fn impersonating<'a>(user: &'a str, groups: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    let groups = groups.iter().map(|&group| ("Impersonate-Group", group));
    [("Impersonate-User", user)].into_iter().chain(groups).collect()
}

fn by(it: &Theme, user: &str, groups: &[&str], name: &str) -> Result<Said> {
    it.create_as(&impersonating(user, groups), bad("Deployment", name))
}

/// A Pod of this user, with an existing owner.
fn owned_by(it: &Theme, user: &str, name: &str) -> Result<Said> {
    let set = it.made("ReplicaSet", name)?;
    let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": set["metadata"]["uid"],
        "controller": true}]);
    it.create_as(&impersonating(user, &["system:masters"]), bad("Pod", name).with("/metadata/ownerReferences", owner))
}

fn elsewhere(it: &Theme, prefix: &str, labels: &[(&str, &str)]) -> Result<Said> {
    let namespace = Namespace::with_labels(&it.stage.control_plane, prefix, labels)?;
    let path = collection("Deployment", namespace.name());
    it.send("POST", &path, &[JSON], bad("Deployment", "web").to_string().as_bytes())
}

/// A Deployment in a terminating namespace. The namespace stays, because no controller empties it.
fn terminating(it: &Theme) -> Result<String> {
    let namespace = Namespace::new(&it.stage.control_plane, "terminating")?;
    let path = collection("Deployment", namespace.name());
    let good = Manifest::good("Deployment", "web").to_string();
    let said = it.send("POST", &path, &[JSON], good.as_bytes())?;
    ensure!(said.admitted, "{}", said.text);
    it.stage.control_plane.kubectl().delete("namespace", namespace.name())?.ok()?;
    Ok(format!("{path}/web"))
}
