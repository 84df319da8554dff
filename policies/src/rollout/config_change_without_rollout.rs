use std::collections::{BTreeMap, BTreeSet};

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::workload::PodTemplate;

/// Workloads that don't notice when their configuration changes.
///
/// ## What it finds
/// `info`: a long-running workload reads a known ConfigMap only once, at the start of a container: into environment
/// variables (`envFrom`, `configMapKeyRef`) or by a mount with `subPath`. Nothing in its template changes when the
/// ConfigMap changes. There is no finding with one of these:
///
/// - an annotation with `checksum` or `hash` in its name;
/// - a hash at the end of the ConfigMap's name, as kustomize writes it;
/// - an annotation of Reloader.
///
/// This policy is on only if a PolicySet lists it. It does not look at Secrets, because policies never see Secrets. It
/// does not look at a cluster, because that would require the right to read every ConfigMap.
///
/// ## Why
/// A container reads variables when it starts, and a file from a `subPath` mount is never updated. After a change of
/// the ConfigMap, the expected rollout does not happen. The new value appears weeks later, one Pod at a time, when Pods
/// are replaced for another reason.
///
/// ## What to write
/// A checksum of the configuration in the template, so that the template changes with it:
///
/// ```yaml
/// template:
///   metadata:
///     annotations:
///       checksum/config: {{ include (print $.Template.BasePath "/configmap.yaml") . | sha256sum }}
/// ```
///
/// Or use kustomize's `configMapGenerator`, which gives each version its own name.
///
/// ## Assumptions
/// The policy assumes that an unknown ConfigMap does not change.
#[policy(
    on = LongRunning, severity = Info, since = "0.1.0", stage = Source, refines = ["/ConfigMap"],
    profile = OptIn,
    reads = ["/ConfigMap"],
    covers = [
        "rollout-config-no-checksum: only over files, so that the webhook needs no right to read ConfigMaps; not Secrets, which policies never see"
    ]
)]
pub fn config_change_without_rollout(review: &Review, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let follows = |annotations: Cursor<'_>| {
        annotations.members().any(|(key, _)| {
            key.contains("checksum")
                || key.contains("hash")
                || key.starts_with("reloader.stakater.com/")
                || key.ends_with("reloader.stakater.com/reload")
        })
    };
    if follows(review.at("/metadata/annotations")) || follows(template.root().at("/metadata/annotations")) {
        return;
    }
    let mut asked: BTreeSet<&str> = BTreeSet::new();
    for (name, at) in read_once(template) {
        if is_generated(name) || !asked.insert(name) {
            continue;
        }
        if asked.len() > MAX_ASKED {
            findings.assume("an unknown ConfigMap does not change");
            break;
        }
        let answer = review.get(Kind::CONFIG_MAP, name);
        if answer.documents.is_empty() {
            if !answer.complete {
                findings.assume("an unknown ConfigMap does not change");
            }
            continue;
        }
        let message = format!(
            "a container reads ConfigMap {name} only when it starts: a change of the ConfigMap starts no rollout"
        );
        let help = "add an annotation with a checksum of the ConfigMap to the pod template";
        findings.info(&at, message, help).related(format!("ConfigMap/{name}"));
    }
}

/// Maximum number of ConfigMaps of one workload that are looked up.
const MAX_ASKED: usize = 256;

/// The names of ConfigMaps that containers read only once, each with its place.
fn read_once<'a>(template: &PodTemplate<'a>) -> Vec<(&'a str, Cursor<'a>)> {
    let mut found = Vec::new();
    let mut volumes = BTreeMap::new();
    for volume in template.spec().at("/volumes").items() {
        if let Some(name) = volume.at("/name").as_str() {
            volumes.entry(name).or_insert_with(|| volume.at("/configMap/name"));
        }
    }
    for container in template.containers().iter().filter(|container| container.class() != Class::Ephemeral) {
        let sources = container.at("/envFrom").items().map(|source| source.at("/configMapRef/name"));
        let keys = container.at("/env").items().map(|variable| variable.at("/valueFrom/configMapKeyRef/name"));
        let mounts = container.at("/volumeMounts").items();
        let mounts = mounts.filter(|mount| mount.at("/subPath").exists() || mount.at("/subPathExpr").exists());
        let mounted = mounts.filter_map(|mount| volumes.get(mount.at("/name").as_str()?).cloned());
        let names = sources.chain(keys).chain(mounted);
        found.extend(names.filter_map(|at| Some((at.as_str().filter(|name| !name.is_empty())?, at))));
    }
    found
}

/// Whether kustomize generated this name: it ends in ten characters of kustomize's alphabet, which has no vowels.
fn is_generated(name: &str) -> bool {
    const LETTERS: &str = "bcdfghkmt2456789";
    let Some((_, hash)) = name.rsplit_once('-') else { return false };
    hash.len() == 10 && hash.chars().all(|letter| LETTERS.contains(letter))
}
