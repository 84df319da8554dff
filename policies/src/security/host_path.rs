use plimsoll_sdk::prelude::*;

/// Pods that mount files of their node.
///
/// ## What it finds
/// `error`: a volume of type `hostPath`, whatever its path and however it is mounted. There is one finding for all
/// volumes of a Pod. This is the check of the baseline Pod Security Standard, with the same meaning in all versions of
/// Kubernetes.
///
/// An administrator writes a PersistentVolume of type `hostPath` or `local`, so that is no finding.
///
/// ## Why
/// The files belong to the node and to the other Pods on it. A program that can write some of them controls the node:
/// `/`, `/etc`, `/var/lib/kubelet`, the socket of the container runtime. A program that can only read them finds the
/// logs, the Secrets and the credentials of all Pods. So `readOnly: true` in a mount is not enough.
///
/// The data also stays on the node: a Pod that moves to another node does not find it there.
///
/// ## What to write
/// | for | write |
/// | --- | --- |
/// | data that outlives the Pod | a PersistentVolumeClaim |
/// | files between containers, caches | `emptyDir` |
/// | configuration, certificates | a ConfigMap, a Secret, or `projected` |
/// | the clock's zone (`/etc/localtime`) | the variable `TZ`, with the zones in the image |
///
/// Agents of the node (log collectors, storage drivers, node exporters) need `hostPath`. Keep them in a namespace of
/// their own, and exempt that namespace. There is no fix, because only the author knows the purpose of the files.
#[policy(
    on = Workloads, severity = Error, since = "0.1.0",
    default = Warn,
    covers = ["sec-host-path"]
)]
pub fn host_path(review: &Review, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let volumes: Vec<_> =
        template.spec().at("/volumes").items().filter(|volume| volume.at("/hostPath").exists()).collect();
    let Some(first) = volumes.first() else { return };
    let named = |volume: &Cursor<'_>| {
        let path = volume.at("/hostPath/path").as_str().filter(|path| !path.is_empty());
        let name = volume.at("/name").as_str().unwrap_or_default();
        path.map_or_else(|| format!("volume {name:?}"), |path| format!("volume {name:?} ({path})"))
    };
    let shown: Vec<String> = volumes.iter().take(MOST_NAMED).map(named).collect();
    let more = volumes.len() - shown.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let mounts = if volumes.len() == 1 { "mounts" } else { "mount" };
    let message = format!("{}{more} {mounts} files of the node: the files may belong to other Pods", shown.join(", "));
    let help = "replace hostPath by a PersistentVolumeClaim, an emptyDir or a ConfigMap, or exempt the workload if \
                it is a node agent";
    let finding = findings.error(&first.at("/hostPath"), message, help);
    for volume in &volumes {
        finding.about(&volume.at("/hostPath/path"));
    }
}

/// Maximum number of volumes that a message names; it counts the others.
const MOST_NAMED: usize = 3;
