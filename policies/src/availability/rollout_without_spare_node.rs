use plimsoll_sdk::autoscaling::bounds;
use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::{ROLLING, Rollout, own_domains, revision_label};

/// Settings of `rollout-without-spare-node`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// Number of nodes on which these Pods may run; 0 if it is not known
    #[settings(default = 0, minimum = 0)]
    nodes: i64,
    /// Number of zones in which these Pods may run; 0 if it is not known
    #[settings(default = 0, minimum = 0)]
    zones: i64,
}

/// Rolling updates that need a free node, or zone, for each new Pod.
///
/// ## What it finds
/// The policy looks at Deployments, and at Argo Rollouts with a canary whose traffic is not routed. It finds a workload
/// if:
///
/// - each of its Pods must have a node or a zone of its own, and
/// - its update takes down no Pod before a new one is ready, because `maxUnavailable` comes to 0.
///
/// Such an update needs a node or a zone for each Pod, and `maxSurge` more.
///
/// The policy reads the required terms of `podAntiAffinity` (`requiredDuringSchedulingIgnoredDuringExecution`) that
/// select the workload's own Pods. Their `topologyKey` is `kubernetes.io/hostname`, or `topology.kubernetes.io/zone`
/// and its older name.
///
/// - `error`: `nodes` or `zones` is too small for the size of the workload, or for the minimum of its autoscaler;
/// - `warning`: `nodes` or `zones` is too small only for the maximum of the autoscaler;
/// - `warning`: the settings do not say how many nodes or zones there are.
///
/// The policy skips three kinds of terms:
///
/// - terms without a `labelSelector`, which select no Pods;
/// - terms that count only the Pods of one revision (`matchLabelKeys`);
/// - terms that may look only into other namespaces (`namespaces`, `namespaceSelector`).
///
/// The policy reports the problem at the object that is applied last: the workload, or the autoscaler at its
/// `scaleTargetRef`. `plimsoll check` reports it once for a set.
///
/// ## Why
/// The new Pod must not run beside an old one, and no old Pod stops before the new one is ready. Without a free node,
/// the update hangs until `progressDeadlineSeconds` is over and a user looks at it. A node autoscaler adds nodes, but
/// never a zone.
///
/// ## What to write
/// The label of the revision in the term. Then new Pods keep away from each other, but not from old ones.
/// `--fix=unsafe` writes it (from Kubernetes 1.31):
///
/// ```yaml
/// podAntiAffinity:
///   requiredDuringSchedulingIgnoredDuringExecution:
///     - topologyKey: kubernetes.io/hostname
///       labelSelector: {matchLabels: {app: shop}}
///       matchLabelKeys: [pod-template-hash]
/// ```
///
/// Or `maxUnavailable: 1` and `maxSurge: 0`, if there are two or more Pods and one fewer is enough. Or a preferred term
/// instead of the required one.
///
/// ## Settings
/// `nodes` and `zones`: the number of nodes and zones for these Pods. 0 means that the number is not known.
///
/// ## Assumptions
/// Without `nodes`, the policy assumes that there are no more nodes than Pods. Without `zones`, it assumes that there
/// are no more zones than Pods.
#[policy(
    on = Kinds,
    kinds = [Rolling, Autoscalers],
    severity = Error, since = "0.1.0",
    refines = [Rolling, Autoscalers],
    edits = [
        "{template}/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/*/matchLabelKeys"
    ],
    default = Deny(BlocksOthers),
    reads = [Workloads, Autoscalers],
    covers = ["avail-required-antiaffinity-surge: the nodes are a setting"]
)]
pub fn rollout_without_spare_node(review: &Review, settings: &Settings, findings: &mut Findings) {
    if last::workloads(review, findings, &ROLLING, |review, findings| {
        rollout_without_spare_node(review, settings, findings)
    }) {
        return;
    }
    let Some(rollout) = Rollout::of(review).filter(|rollout| rollout.replicas > 0 && !rollout.is_stuck()) else {
        return;
    };
    let mut judged: Vec<&str> = Vec::new();
    for (key, term) in own_domains(review) {
        let domain = match key {
            "kubernetes.io/hostname" => Domain { noun: "node", place: "on a node", known: settings.nodes },
            "topology.kubernetes.io/zone" | "failure-domain.beta.kubernetes.io/zone" => {
                Domain { noun: "zone", place: "in a zone", known: settings.zones }
            }
            _ => continue,
        };
        // Two terms of the same domain need the same.
        if !judged.contains(&domain.noun) {
            judged.push(domain.noun);
            of_term(review, &rollout, &term, &domain, findings);
        }
    }
}

/// The domain, node or zone, that each Pod needs for itself.
struct Domain {
    noun: &'static str,
    place: &'static str,
    /// Number of nodes or zones; 0 if it is not known.
    known: i64,
}

fn of_term(review: &Review, rollout: &Rollout, term: &Cursor<'_>, domain: &Domain, findings: &mut Findings) {
    let Some(label) = revision_label(review) else { return };
    let kind = if review.is(Kind::DEPLOYMENT) { Kind::DEPLOYMENT } else { Kind::ROLLOUT };
    let (bounds, _) = bounds(review, kind, review.name());
    let least = bounds.iter().map(|bounds| bounds.least).min().unwrap_or(0).max(rollout.replicas);
    let most = bounds.iter().filter_map(|bounds| Some((bounds.most?, &bounds.by))).max();
    // The size, the reason for it, and the severity if there are too few nodes or zones for it.
    let mut sizes = vec![(least, String::new(), Severity::Error)];
    if let Some((most, by)) = most.filter(|(most, _)| *most > least) {
        sizes.push((most, format!(" at the maximum of {by}"), Severity::Warning));
    }
    for (size, why, severity) in sizes {
        let posts = rollout.fenceposts(size);
        let needed = size.saturating_add(posts.surge);
        if posts.unavailable > 0 || domain.known >= needed {
            continue;
        }
        let what = format!(
            "an update of {size} {}{why}, each {} of its own, needs {needed} {}s",
            if size == 1 { "Pod" } else { "Pods" },
            domain.place,
            domain.noun
        );
        let (severity, message) = match domain.known {
            0 => {
                findings.assume(&format!("there are no more {}s than Pods", domain.noun));
                (Severity::Warning, format!("{what}: with fewer {}s, the update hangs", domain.noun))
            }
            known => (severity, format!("{what}: there are {known}, so the update hangs")),
        };
        // An update with maxSurge: 0 takes down a single Pod. rollout-without-capacity warns of that.
        let other = match size {
            1 => "a preferred term instead of the required one".to_owned(),
            _ => "maxUnavailable: 1 with maxSurge: 0".to_owned(),
        };
        // A key may be in only one of the two lists.
        let is_mismatched = term.at("/mismatchLabelKeys").items().any(|key| key.as_str() == Some(label));
        let help = match is_mismatched {
            true => format!("remove {label} from mismatchLabelKeys, and write matchLabelKeys: [{label}] in the term"),
            false => format!("write matchLabelKeys: [{label}] in the term, or {other}"),
        };
        let finding = findings.report(severity, term, message, help);
        finding.about(&rollout.max_surge_at).about(&rollout.max_unavailable_at).about(&rollout.replicas_at);
        if !is_mismatched && review.kubernetes_version().is_none_or(|version| version.at_least(1, 31)) {
            let title = format!("Add {label} to matchLabelKeys");
            let fix = Fix::changing(title).append(&term.at("/matchLabelKeys"), label);
            finding.fix(fix);
        }
        return;
    }
}
