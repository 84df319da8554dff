//! Where the demo happens.

use anyhow::Result;
use plimsoll_tests::{ControlPlane, CurrentCluster, Kubectl, Namespace, Options, Webhook, WebhookOptions};

use crate::Demo;

/// Our own, or somebody's. What is ours to clean up goes with it.
pub(crate) enum Cluster {
    Own(Box<Own>),
    Current(Box<CurrentCluster>),
}

/// Dropped in this order.
pub(crate) struct Own {
    webhook: Option<Webhook>,
    namespace: Namespace,
    control_plane: ControlPlane,
}

impl Cluster {
    pub(crate) fn own(demo: &Demo) -> Result<Self> {
        demo.step("starting etcd, kube-apiserver and kube-controller-manager")?;
        let control_plane = ControlPlane::start(&Options { controller_manager: true, ..Options::default() })?;
        let namespace = Namespace::new(&control_plane, "demo")?;
        Ok(Cluster::Own(Box::new(Own { webhook: None, namespace, control_plane })))
    }

    pub(crate) fn current() -> Result<Self> {
        CurrentCluster::enter().map(|cluster| Cluster::Current(Box::new(cluster)))
    }

    /// In the demo's namespace.
    pub(crate) fn kubectl(&self) -> &Kubectl {
        match self {
            Cluster::Own(own) => own.namespace.kubectl(),
            Cluster::Current(cluster) => cluster.kubectl(),
        }
    }

    /// Where there is no node there is no kubelet either, and the demo may say for the Pods that they are ready.
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
