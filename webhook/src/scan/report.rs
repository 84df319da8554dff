//! The report of a scan, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::printed::{self, line};
use crate::scan::{Denied, Scan};

const SCHEMA: &str = "plimsoll.dev/scan/v1";

/// Percentage of all denials that the policies of the summary account for.
const MOST: usize = 90;

/// The denials of one policy.
struct Row<'a> {
    policy: &'a str,
    count: usize,
    /// Counts by namespace, highest first.
    namespaces: Vec<(&'a str, usize)>,
}

/// Groups denials by policy, highest count first.
fn rows(denied: &[Denied]) -> Vec<Row<'_>> {
    let mut counts: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for denied in denied {
        *counts.entry(&denied.policy).or_default().entry(&denied.object.namespace).or_default() += 1;
    }
    let mut rows: Vec<Row<'_>> = counts
        .into_iter()
        .map(|(policy, namespaces)| {
            let mut namespaces: Vec<_> = namespaces.into_iter().collect();
            namespaces.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            Row { policy, count: namespaces.iter().map(|(_, count)| count).sum(), namespaces }
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.count));
    rows
}

/// The smallest number of policies that together account for [`MOST`] percent of the denials.
fn most<'a>(rows: &[Row<'a>]) -> Vec<&'a str> {
    let all: usize = rows.iter().map(|row| row.count).sum();
    let mut sum = 0;
    let mut policies = Vec::new();
    for row in rows {
        if sum * 100 >= all * MOST {
            break;
        }
        sum += row.count;
        policies.push(row.policy);
    }
    policies
}

/// The scan as text.
pub fn human(scan: &Scan) -> String {
    let mut out = String::new();
    drains(&mut out, scan);
    denials(&mut out, scan);
    for (policy, why, count) in &scan.unjudged {
        let _ = writeln!(out, "not judged: {policy} on {}: {}", objects(*count), line(why));
    }
    for (kind, why) in &scan.unread {
        let _ = writeln!(out, "not read: {}: {}", kind.trim_start_matches('/'), line(why));
    }
    if !scan.unserved.is_empty() {
        let _ = writeln!(out, "not served by the API server: {}", names(scan.unserved.iter()));
    }
    let _ = writeln!(
        out,
        "Kubernetes {}: {} in {}, {} of them made by controllers",
        scan.kubernetes_version,
        objects(scan.objects),
        plural(scan.namespaces, "namespace"),
        scan.owned
    );
    out
}

fn drains(out: &mut String, scan: &Scan) {
    if scan.drains.is_empty() {
        out.push_str("No PodDisruptionBudget blocks a drain now.\n\n");
        return;
    }
    out.push_str("Drains that block now:\n");
    for drain in &scan.drains {
        let _ = writeln!(out, "  {}/{}  {}", line(&drain.namespace), line(&drain.name), line(&drain.why));
    }
    out.push('\n');
}

fn denials(out: &mut String, scan: &Scan) {
    let rows = rows(&scan.denied);
    let by = by(&scan.profiles);
    if rows.is_empty() {
        let warned = plural(scan.warned, "finding");
        let _ = writeln!(out, "`enforce` with {by} would deny nothing, and warn about {warned}.\n");
        return;
    }
    let count = plural(scan.denied.len(), "finding");
    let _ = writeln!(out, "`enforce` with {by} would deny {count}, and warn about {}:", scan.warned);
    let width = rows.iter().map(|row| row.policy.len()).max().unwrap_or(0);
    for row in &rows {
        let where_: Vec<String> = row
            .namespaces
            .iter()
            .map(|(namespace, count)| {
                format!("{} {count}", if namespace.is_empty() { "(cluster)".into() } else { line(namespace) })
            })
            .collect();
        let _ = writeln!(out, "  {:width$}  {:>5}  {}", row.policy, row.count, where_.join(", "));
    }
    let most = most(&rows);
    if most.len() < rows.len() {
        let _ =
            writeln!(out, "{} of {} policies account for {MOST} % of it: {}", most.len(), rows.len(), most.join(", "));
    }
    out.push('\n');
}

/// The profile of the PolicySet, or each PolicySet with its profile if there are several.
fn by(profiles: &[(String, &str)]) -> String {
    match profiles {
        [(_, profile)] => format!("profile `{profile}`"),
        all => {
            let sets: Vec<_> = all.iter().map(|(set, profile)| format!("{} ({profile})", line(set))).collect();
            format!("the PolicySets {}", sets.join(", "))
        }
    }
}

/// The scan as JSON, with a line break at its end.
pub fn json(scan: &Scan) -> String {
    let rows = rows(&scan.denied);
    let object = |denied: &Denied| {
        let object = &denied.object;
        json!({"apiVersion": object.api_version, "kind": object.kind, "namespace": object.namespace, "name": object.name})
    };
    let denied = |denied: &Denied| {
        json!({
            "policy": denied.policy, "object": object(denied), "path": denied.path, "message": denied.message,
            "help": denied.help,
        })
    };
    let row = |row: &Row<'_>| {
        let namespaces: serde_json::Map<String, Value> =
            row.namespaces.iter().map(|(namespace, count)| ((*namespace).to_owned(), json!(count))).collect();
        json!({"policy": row.policy, "count": row.count, "namespaces": namespaces})
    };
    let document = json!({
        "schema": SCHEMA,
        "kubernetesVersion": scan.kubernetes_version,
        "policySets": scan.profiles.iter().map(|(set, profile)| {
            json!({"name": set, "profile": profile})
        }).collect::<Vec<_>>(),
        "objects": scan.objects,
        "owned": scan.owned,
        "namespaces": scan.namespaces,
        "drains": scan.drains.iter().map(|drain| {
            json!({"namespace": drain.namespace, "name": drain.name, "why": drain.why})
        }).collect::<Vec<_>>(),
        "denied": scan.denied.iter().map(denied).collect::<Vec<_>>(),
        "policies": rows.iter().map(row).collect::<Vec<_>>(),
        "most": most(&rows),
        "warned": scan.warned,
        "unjudged": scan.unjudged.iter().map(|(policy, why, count)| {
            json!({"policy": policy, "reason": why, "count": count})
        }).collect::<Vec<_>>(),
        "unserved": scan.unserved,
        "unread": scan.unread.iter().map(|(kind, why)| json!({"kind": kind, "reason": why})).collect::<Vec<_>>(),
    });
    // It contains only strings and numbers, so serialising can't fail.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    printed::json(&text).into_owned()
}

/// Kinds (`group/Kind`) as a list.
pub fn names<'a>(kinds: impl Iterator<Item = &'a (impl AsRef<str> + ?Sized + 'a)>) -> String {
    let names: Vec<_> = kinds.map(|kind| line(kind.as_ref().trim_start_matches('/'))).collect();
    names.join(", ")
}

fn objects(count: usize) -> String {
    plural(count, "object")
}

fn plural(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use crate::check::report::ObjectName;
    use crate::scan::report::*;

    fn denied(policy: &str, namespace: &str) -> Denied {
        let object = ObjectName {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: namespace.to_owned(),
            name: "web".to_owned(),
        };
        let (path, message, help) = (String::new(), "it is wrong".to_owned(), "mend it".to_owned());
        Denied { policy: policy.to_owned(), object, path, message, help }
    }

    #[test]
    fn the_profile_is_named() {
        assert_eq!(by(&[("default".to_owned(), "strict")]), "profile `strict`");
        let sets = [("all".to_owned(), "default"), ("shop".to_owned(), "production")];
        assert_eq!(by(&sets), "the PolicySets all (default), shop (production)");
    }

    #[test]
    fn the_fewest_policies_that_make_up_most() {
        let mut all: Vec<Denied> = (0..17).map(|_| denied("often", "shop")).collect();
        all.extend((0..2).map(|_| denied("sometimes", "bank")));
        all.push(denied("once", "shop"));
        let rows = rows(&all);
        assert_eq!(
            rows.iter().map(|row| (row.policy, row.count)).collect::<Vec<_>>(),
            [("often", 17), ("sometimes", 2), ("once", 1)]
        );
        // 17 of 20 are 85 %, 19 are 95 %.
        assert_eq!(most(&rows), ["often", "sometimes"]);
        assert!(most(&[]).is_empty());
    }
}
