use plimsoll_sdk::prelude::*;

/// Pods that mount files of their node.
///
/// ## What it finds
/// `error`: a volume of type `hostPath`, whatever its path and however it is mounted; one finding for each volume. It is
/// the check of the baseline Pod Security Standard, with the same meaning in all versions of Kubernetes.
///
/// A PersistentVolume of type `hostPath` or `local` is written by an administrator, and no finding.
///
/// ## Why
/// The files are those of the node and of the other Pods there. A program that can write some of them (`/`, `/etc`,
/// `/var/lib/kubelet`, the socket of the container runtime) owns the node. One that can only read them finds the logs, the
/// Secrets and the credentials of all Pods, so `readOnly: true` of a mount is not enough.
///
/// The data also stays behind: a Pod that moves to another node does not find it there.
///
/// ## What to write
/// | for | write |
/// | --- | --- |
/// | data that outlives the Pod | a PersistentVolumeClaim |
/// | files between containers, caches | `emptyDir` |
/// | configuration, certificates | a ConfigMap, a Secret, or `projected` |
/// | the clock's zone (`/etc/localtime`) | the variable `TZ`, with the zones in the image |
///
/// Agents of the node (log collectors, storage drivers, node exporters) need it. Keep these in a namespace of their own,
/// and exempt that. There is no fix, because nobody else knows what the files are for.
#[policy(category = "security", on = Workloads, severity = Error, since = "0.1.0")]
pub fn host_path(review: &Review, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    for volume in template.spec().at("volumes").items() {
        let at = volume.at("hostPath");
        if !at.exists() {
            continue;
        }
        let name = volume.at("name").as_str().unwrap_or_default();
        let path = at.at("path").as_str().filter(|path| !path.is_empty());
        let files = path.map_or_else(|| "files".to_owned(), |path| format!("{path:?}"));
        findings
            .error(
                &at,
                format!(
                    "volume {name:?} is {files} of the node: its containers reach files of the node and of other Pods"
                ),
                "use a PersistentVolumeClaim, an emptyDir or a ConfigMap; exempt agents of the node",
            )
            .about(&at.at("path"));
    }
}
