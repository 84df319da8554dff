use plimsoll_sdk::prelude::*;

/// Changes of fields that are immutable.
///
/// ## What it finds
/// `error`: an object differs from the existing one in a field that the API server does not allow to change:
///
/// - `selector` of a Deployment, StatefulSet, DaemonSet or ReplicaSet;
/// - `serviceName`, `podManagementPolicy` and `volumeClaimTemplates` of a StatefulSet;
/// - `clusterIP` of a Service, if the manifest sets one;
/// - `accessModes`, `storageClassName`, `volumeMode`, `volumeName`, `selector` and the data source of a
///   PersistentVolumeClaim, and a request for less storage.
///
/// The existing object comes from `plimsoll check --context`: the record that `plimsoll scan --record` has written.
/// Without a record nothing is found. In a cluster the API server itself rejects such a change, so the webhook has
/// nothing to add.
///
/// ## Why
/// The pipeline reports "field is immutable" after the merge, when half of a set is already applied. The usual way out
/// is to delete the object and create it again. That is an outage, which should be planned.
///
/// ## What to write
/// The existing value. Or create a new object under another name, and remove the old object once the new one serves.
#[policy(
    on = Kinds,
    kinds = [
        "apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet", "/Service", "/PersistentVolumeClaim"
    ],
    severity = Error, since = "0.1.0", stage = Source, judges = Transition,
    refines = [
        "apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet", "/Service", "/PersistentVolumeClaim"
    ],
    default = Deny(CannotWork),
    reads = [Workloads, Services, Storage],
    covers = ["rollout-immutable-change: against a record (`check --context`); not against a revision of git"]
)]
pub fn immutable_field_changed(review: &Review, findings: &mut Findings) {
    let old = review.old();
    if !old.exists() {
        return;
    }
    let whose = format!("of {} {}", review.kind(), review.name());
    let mut found = |at: Cursor<'_>, field: &str| {
        let message = format!("{field} {whose} is immutable: the API server rejects the change");
        findings.error(&at, message, HELP);
    };
    match review.kind() {
        "Service" => {
            let (new, old) = (review.at("/spec/clusterIP"), old.at("/spec/clusterIP"));
            // Without a value the API server keeps the address that it assigned. An ExternalName Service has none.
            let text = |at: &Cursor<'_>| at.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            if let (Some(wanted), Some(given)) = (text(&new), text(&old))
                && wanted != given
            {
                found(new, "clusterIP");
            }
        }
        "PersistentVolumeClaim" => {
            for field in ["accessModes", "storageClassName", "volumeMode", "volumeName", "selector", "dataSource"] {
                let (new, old) = (review.at("/spec").key(field), old.at("/spec").key(field));
                if new.exists() && !is_within(new.node(), old.node()) {
                    found(new, field);
                }
            }
            let storage = |root: &Cursor<'_>| Quantity::from_node(root.at("/spec/resources/requests/storage").node()?);
            if let (Some(wanted), Some(given)) = (storage(review.object()), storage(&old))
                && wanted < given
            {
                let message = format!(
                    "the storage request {whose} can't shrink from {given} to {wanted}: the API server rejects that"
                );
                findings.error(&review.at("/spec/resources/requests/storage"), message, HELP);
            }
        }
        kind => {
            let (new, was) = (review.at("/spec/selector"), old.at("/spec/selector"));
            if !(is_within(new.node(), was.node()) && is_within(was.node(), new.node())) {
                found(new, "selector");
            }
            if kind == "StatefulSet" {
                of_stateful_set(review, &old, &mut found);
            }
        }
    }
}

const HELP: &str = "write the existing value, or create an object with another name";

fn of_stateful_set(review: &Review<'_>, old: &Cursor<'_>, found: &mut dyn FnMut(Cursor<'_>, &str)) {
    let text = |at: Cursor<'_>, unset: &str| at.as_str().unwrap_or(unset).to_owned();
    for (field, unset) in [("serviceName", ""), ("podManagementPolicy", "OrderedReady")] {
        let new = review.at("/spec").key(field);
        if text(new.clone(), unset) != text(old.at("/spec").key(field), unset) {
            found(new, field);
        }
    }
    let (new, was) = (review.at("/spec/volumeClaimTemplates"), old.at("/spec/volumeClaimTemplates"));
    let is_none = |list: &Cursor<'_>| list.items().next().is_none();
    if !(is_none(&new) && is_none(&was) || is_within(new.node(), was.node())) {
        found(new, "volumeClaimTemplates");
    }
}

/// Whether the old value contains all of the new one. The old one also has the API server's defaults. Lists must have
/// the same length.
fn is_within(new: Option<Node<'_>>, old: Option<Node<'_>>) -> bool {
    let (Some(new), Some(old)) = (new, old) else { return new.is_none() && old.is_none() };
    if new.as_str().is_some() || new.as_i64().is_some() {
        return new == old
            || matches!((Quantity::from_node(new), Quantity::from_node(old)), (Some(new), Some(old)) if new == old);
    }
    let is_list = new.items().next().is_some() || old.items().next().is_some();
    if is_list {
        let (mut left, mut right) = (new.items(), old.items());
        return new.len() == old.len() && left.all(|item| is_within(Some(item), right.next()));
    }
    match new.members().next() {
        Some(_) => {
            new.members().filter(|(_, value)| !value.is_null()).all(|(key, value)| is_within(Some(value), old.get(key)))
        }
        // An empty new value requires nothing: every object contains it, and so does an equal value.
        None => old.members().next().is_some() || new == old,
    }
}
