//! Where each kind keeps its pod template.

use plimsoll_flat::Writer;
use plimsoll_sdk::metadata;

/// An earlier template of a workload, as its controller keeps it.
pub const REVISION: &str = "apps/ControllerRevision";

/// Kinds with a pod template, `group/Kind`, the pointer to it, and whether its Pods are meant to run on.
const BUILTIN: &[(&str, &str, bool)] = &[
    ("/Pod", "", false),
    ("/PodTemplate", "/template", false),
    ("/ReplicationController", "/spec/template", true),
    // What a StatefulSet or DaemonSet is rolled back to: one that is made by hand would be a way around the policies.
    (REVISION, "/data/spec/template", false),
    ("apps/DaemonSet", "/spec/template", true),
    ("apps/Deployment", "/spec/template", true),
    ("apps/ReplicaSet", "/spec/template", true),
    ("apps/StatefulSet", "/spec/template", true),
    ("argoproj.io/Rollout", "/spec/template", true),
    ("batch/CronJob", "/spec/jobTemplate/spec/template", false),
    ("batch/Job", "/spec/template", false),
];

/// The kinds that carry a pod template: those of Kubernetes and Argo, and further ones of the configuration.
#[derive(Clone, Debug)]
pub struct Workloads {
    kinds: Vec<(String, String, bool)>,
}

impl Default for Workloads {
    fn default() -> Self {
        Self {
            kinds: BUILTIN.iter().map(|&(kind, pointer, runs)| (kind.to_owned(), pointer.to_owned(), runs)).collect(),
        }
    }
}

impl Workloads {
    /// The RFC 6901 pointer to the pod template of `group/Kind`; for a Pod it is empty, the Pod itself.
    pub fn template(&self, group_kind: &str) -> Option<&str> {
        self.kinds.iter().find(|(kind, ..)| kind == group_kind).map(|(_, pointer, _)| pointer.as_str())
    }

    /// Every `group/Kind` with a pod template.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.kinds.iter().map(|(kind, ..)| kind.as_str())
    }

    /// Whether a policy with this `on` looks at `group/Kind`.
    pub fn match_on(&self, on: &metadata::On, group_kind: &str) -> bool {
        let workload = self.kinds.iter().find(|(kind, ..)| kind == group_kind);
        let by_template = match on.workloads {
            metadata::Workloads::None => false,
            metadata::Workloads::LongRunning => workload.is_some_and(|(.., runs_on)| *runs_on),
            metadata::Workloads::All => workload.is_some(),
        };
        by_template || on.kinds.iter().any(|kind| kind == group_kind)
    }

    /// The member `workloads` of the environment that policies get.
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.begin_object();
        for (kind, pointer, _) in &self.kinds {
            writer.key(kind);
            writer.string(pointer);
        }
        writer.end();
    }
}
