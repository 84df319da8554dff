//! The cluster of the demo.

use anyhow::Result;
use plimsoll_tests::{ControlPlane, CurrentCluster, Kubectl, Namespace, Options, Webhook, WebhookOptions};

use crate::Demo;

/// A control plane of the demo's own, or the cluster that kubectl points at. Dropping it deletes what the demo made.
pub(crate) enum Cluster {
    Own(Box<Own>),
    Current(Box<CurrentCluster>),
}

/// The fields are dropped in this order.
pub(crate) struct Own {
    webhook: Option<Webhook>,
    namespace: Namespace,
    control_plane: ControlPlane,
}

impl Cluster {
    pub(crate) fn own(demo: &Demo) -> Result<Self> {
        demo.say("Starting etcd, kube-apiserver and kube-controller-manager …")?;
        let control_plane = ControlPlane::start(&Options { controller_manager: true, ..Options::default() })?;
        let namespace = Namespace::new(&control_plane, "demo")?;
        Ok(Cluster::Own(Box::new(Own { webhook: None, namespace, control_plane })))
    }

    pub(crate) fn current() -> Result<Self> {
        CurrentCluster::enter().map(|cluster| Cluster::Current(Box::new(cluster)))
    }

    /// kubectl in the demo's namespace.
    pub(crate) fn kubectl(&self) -> &Kubectl {
        match self {
            Cluster::Own(own) => own.namespace.kubectl(),
            Cluster::Current(cluster) => cluster.kubectl(),
        }
    }

    /// Without nodes there is no kubelet, so the demo may write the status of Pods itself.
    pub(crate) fn has_nodes(&self) -> Result<bool> {
        Ok(!self.kubectl().list("nodes")?.is_empty())
    }

    pub(crate) fn start_webhook(&mut self, policies: &str) -> Result<()> {
        match self {
            Cluster::Own(own) => {
                let arguments = vec!["--config".to_owned(), policies.to_owned()];
                let options = WebhookOptions { arguments, ..WebhookOptions::default() };
                own.webhook = Some(Webhook::start(&own.control_plane, &options)?);
                Ok(())
            }
            Cluster::Current(cluster) => cluster.start_webhook(&["--config", policies]),
        }
    }
}
