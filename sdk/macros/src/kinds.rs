//! Lists of kinds in `#[policy]`: `kinds`, `requires` and `refines`.

use syn::{Error, Expr, ExprArray, ExprLit, ExprPath, Lit, LitStr, Result};

/// Groups of kinds. `plimsoll_sdk::kind` has constants of the same contents; a test of the SDK compares them.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Autoscalers", &["autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject"]),
    ("Monitors", &["monitoring.coreos.com/ServiceMonitor", "monitoring.coreos.com/PodMonitor"]),
    ("Storage", &["/PersistentVolumeClaim", "/PersistentVolume", "storage.k8s.io/StorageClass"]),
    ("Rolling", &["apps/Deployment", "argoproj.io/Rollout"]),
    (
        "Scalable",
        &["apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet", "/ReplicationController", "argoproj.io/Rollout"],
    ),
    (
        "LongRunning",
        &[
            "apps/Deployment",
            "apps/StatefulSet",
            "apps/ReplicaSet",
            "/ReplicationController",
            "argoproj.io/Rollout",
            "apps/DaemonSet",
        ],
    ),
];

/// Reads a list of strings and groups. The result has each kind once.
pub(crate) fn read(list: &Expr) -> Result<Vec<LitStr>> {
    let Expr::Array(ExprArray { elems, .. }) = list else {
        return Err(Error::new_spanned(list, "write a list of kinds and groups: [Scalable, \"/Service\"]"));
    };
    let mut kinds: Vec<LitStr> = Vec::new();
    let mut add = |kind: LitStr| {
        if kinds.iter().any(|known| known.value() == kind.value()) {
            return Err(Error::new(kind.span(), format!("the list names {:?} twice", kind.value())));
        }
        kinds.push(kind);
        Ok(())
    };
    for entry in elems {
        match entry {
            Expr::Lit(ExprLit { lit: Lit::Str(kind), .. }) => add(kind.clone())?,
            Expr::Path(ExprPath { path, .. }) => {
                let Some((_, group)) = GROUPS.iter().find(|(word, _)| path.is_ident(word)) else {
                    let words = GROUPS.map(|(word, _)| word).join(", ");
                    let message =
                        format!("this group of kinds is not known: write {words}, or a kind: \"apps/Deployment\"");
                    return Err(Error::new_spanned(path, message));
                };
                let span = path.get_ident().map_or_else(proc_macro2::Span::call_site, syn::Ident::span);
                for kind in *group {
                    add(LitStr::new(kind, span))?;
                }
            }
            other => return Err(Error::new_spanned(other, "write a kind, \"apps/Deployment\", or a group, Scalable")),
        }
    }
    Ok(kinds)
}
