//! Whether Plimsoll is installed in the cluster, or is being uninstalled.

use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::ListParams;
use kube::{Api, Client};

use super::RegisterError;
use super::errors::Access;

/// The state of the installation, derived from Namespace and Service.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// Namespace and Service exist.
    Here(Box<Home>),
    /// The Namespace is being deleted, with its uid, or is gone. This is final.
    Leaving(Option<String>),
    /// The Service does not exist, or is being deleted. The cause may be an uninstallation or a mistake.
    WithoutService,
}

/// The owners of our objects.
#[derive(Clone, Debug)]
pub(super) struct Home {
    /// Owner reference to the Namespace.
    pub(super) owner: OwnerReference,
    /// Labels and annotations by which helm recognises its objects, if helm installed Plimsoll.
    pub(super) of_helm: Option<ObjectMeta>,
}

pub(super) async fn standing(client: &Client, namespace: &str, service: &str) -> Result<Standing, RegisterError> {
    let access = Access { kind: "Namespace", name: namespace, verbs: "`get`", resource: "namespaces", advice: "" };
    let found = Api::<Namespace>::all(client.clone()).get_opt(namespace).await.map_err(|error| access.failed(error))?;
    let Some(found) = found else { return Ok(Standing::Leaving(None)) };
    if found.metadata.deletion_timestamp.is_some() {
        return Ok(Standing::Leaving(found.metadata.uid));
    }
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        name: namespace.to_owned(),
        uid: found.metadata.uid.unwrap_or_default(),
        ..OwnerReference::default()
    };
    let service = self::service(client, namespace, service).await?;
    Ok(service.map_or(Standing::WithoutService, |service| {
        Standing::Here(Box::new(Home { owner, of_helm: known_to_helm(service.metadata) }))
    }))
}

/// The Service, unless it is being deleted.
pub(super) async fn service(client: &Client, namespace: &str, name: &str) -> Result<Option<Service>, RegisterError> {
    let access = Access { kind: "Service", name, verbs: "`get`", resource: "services", advice: "" };
    let found = Api::<Service>::namespaced(client.clone(), namespace).get_opt(name).await;
    let found = found.map_err(|error| access.failed(error))?;
    Ok(found.filter(|found| found.metadata.deletion_timestamp.is_none()))
}

/// The labels and annotations of helm on the Service. Objects that we recreate get the same ones. Without them, helm 4
/// would not delete the objects, and a webhook that is left behind can block a cluster.
pub(super) fn known_to_helm(service: ObjectMeta) -> Option<ObjectMeta> {
    let mut annotations = service.annotations?;
    annotations.retain(|name, _| name.starts_with("meta.helm.sh/"));
    if annotations.is_empty() {
        return None;
    }
    Some(ObjectMeta { labels: service.labels, annotations: Some(annotations), ..ObjectMeta::default() })
}

/// Whether the Service has a ready replica.
pub(super) async fn answers(client: &Client, namespace: &str, service: &str) -> Result<bool, RegisterError> {
    let access = Access {
        kind: "EndpointSlices of Service",
        name: service,
        verbs: "`list`",
        resource: "endpointslices.discovery.k8s.io",
        advice: "",
    };
    let wanted = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
    let slices = Api::<EndpointSlice>::namespaced(client.clone(), namespace);
    let slices = slices.list(&wanted).await.map_err(|error| access.failed(error))?;
    // "nil should be interpreted as true", says the API.
    let ready = |conditions: &k8s_openapi::api::discovery::v1::EndpointConditions| conditions.ready != Some(false);
    let mut endpoints = slices.items.iter().flat_map(|slice| slice.endpoints.iter());
    Ok(endpoints.any(|endpoint| endpoint.conditions.as_ref().is_none_or(ready)))
}
