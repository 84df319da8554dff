//! The owner of a registration. There is one registration for each name. Two servers that both write it would overwrite
//! each other all the time.

use std::fmt;

use k8s_openapi::api::admissionregistration::v1::WebhookClientConfig;
use kube::ResourceExt as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::stored::{self, Configuration};
use super::{Place, Reach};

/// Annotation with the URL or Service of the server that wrote the configuration.
pub(super) const OWNER: &str = "plimsoll.dev/registered-by";

/// Annotation with the time at which that server was first registered.
pub(super) const SINCE: &str = "plimsoll.dev/registered-since";

/// Another server that is registered in our place.
#[derive(Clone, Debug)]
pub(super) struct Other {
    pub(super) reach: Reach,
    pub(super) since: String,
    /// The CA certificates as PEM with which the API server checks that server.
    pub(super) ca_bundle: Vec<u8>,
}

impl fmt::Display for Reach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reach::Url(url) => formatter.write_str(url.trim_end_matches('/')),
            Reach::Service { namespace, name, port } => write!(formatter, "Service {namespace}/{name}:{port}"),
        }
    }
}

impl Reach {
    /// Whether both lead to the same server. Replicas of a Service count as one server, with any port.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Reach::Url(url), Reach::Url(other)) => url.trim_end_matches('/') == other.trim_end_matches('/'),
            (Reach::Service { namespace, name, .. }, Reach::Service { namespace: there, name: other, .. }) => {
                (namespace, name) == (there, other)
            }
            _ => false,
        }
    }

    /// Parses the output of [`fmt::Display`].
    fn parse(text: &str) -> Option<Self> {
        let Some(service) = text.strip_prefix("Service ") else {
            return text.starts_with("https://").then(|| Reach::Url(text.to_owned()));
        };
        let (namespace, rest) = service.split_once('/')?;
        let (name, port) = rest.split_once(':')?;
        Some(Reach::Service { namespace: namespace.to_owned(), name: name.to_owned(), port: port.parse().ok()? })
    }

    /// The server that the API server calls.
    fn of(client: &WebhookClientConfig) -> Option<Self> {
        if let Some(url) = &client.url {
            let base = ["/validate", "/mutate"].iter().find_map(|path| url.strip_suffix(path)).unwrap_or(url);
            return Some(Reach::Url(base.to_owned()));
        }
        let service = client.service.as_ref()?;
        let port = service.port.and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
        Some(Reach::Service { namespace: service.namespace.clone(), name: service.name.clone(), port })
    }
}

/// The other server that owns a configuration. None if the configuration is ours or empty. The owner is the server that
/// the API server calls. If a user edited a configuration that we wrote, it is still ours, and is repaired. The
/// annotation alone does not make a configuration ours.
pub(super) fn other<K: Configuration>(found: &K, place: &Place) -> Option<Other> {
    let foreign = |client: &&WebhookClientConfig| Reach::of(client).is_none_or(|reach| !reach.is_same(&place.reach));
    let clients = found.clients();
    let client = clients.iter().copied().find(foreign)?;
    let written_by = found.annotations().get(OWNER).and_then(|owner| Reach::parse(owner));
    let written_by = written_by.filter(|_| !stored::is_untouched(found));
    if written_by.as_ref().is_some_and(|owner| owner.is_same(&place.reach)) {
        return None;
    }
    let created = || found.meta().creation_timestamp.as_ref().map(|time| time.0.to_string());
    Some(Other {
        reach: written_by.or_else(|| Reach::of(client))?,
        since: found.annotations().get(SINCE).cloned().or_else(created).unwrap_or_else(|| "an unknown time".to_owned()),
        ca_bundle: client.ca_bundle.clone().unwrap_or_default().0,
    })
}

/// Another server with our URL. Its configuration has a CA that we don't know, so the API server would reject our
/// certificate. The same state exists after a restart of this server, but then no server answers with that CA.
pub(super) fn namesake<K: Configuration>(found: &K, place: &Place, ca_bundle: &[u8]) -> Option<Other> {
    if !matches!(place.reach, Reach::Url(_)) || !stored::is_untouched(found) {
        return None;
    }
    let ours: Vec<_> = CertificateDer::pem_slice_iter(ca_bundle).flatten().collect();
    let is_foreign = |bundle: &[u8]| {
        let mut theirs = CertificateDer::pem_slice_iter(bundle).flatten().peekable();
        theirs.peek().is_some() && !theirs.any(|certificate| ours.contains(&certificate))
    };
    let bundles = found.clients().into_iter().filter_map(|client| client.ca_bundle.as_ref());
    let theirs = bundles.map(|bundle| &bundle.0).find(|bundle| is_foreign(bundle))?;
    let since = found.annotations().get(SINCE).cloned().unwrap_or_else(|| "an unknown time".to_owned());
    Some(Other { reach: place.reach.clone(), since, ca_bundle: theirs.clone() })
}

/// The time since which the configuration is ours, if it is.
pub(super) fn since<K: Configuration>(found: &K, place: &Place) -> Option<String> {
    let owner = Reach::parse(found.annotations().get(OWNER)?)?;
    owner.is_same(&place.reach).then(|| found.annotations().get(SINCE).cloned()).flatten()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
    use serde_json::{Value, json};

    use super::*;

    fn place(reach: Reach) -> Place {
        Place { name: "plimsoll".to_owned(), reach, only_namespaces: Vec::new(), take_over: false }
    }

    fn url(text: &str) -> Place {
        place(Reach::Url(text.to_owned()))
    }

    fn configuration(annotations: Value, clients: &[Value]) -> ValidatingWebhookConfiguration {
        let webhooks: Vec<Value> = clients
            .iter()
            .map(|client| {
                json!({"name": "a.b.c", "clientConfig": client, "sideEffects": "None", "admissionReviewVersions": ["v1"]})
            })
            .collect();
        serde_json::from_value(json!({"metadata": {"annotations": annotations}, "webhooks": webhooks})).unwrap()
    }

    #[test]
    fn whose_it_is() {
        let at = |text: &str| json!({"url": format!("{text}/validate"), "caBundle": "YQ=="});
        let theirs = configuration(json!({SINCE: "noon"}), &[at("https://b:1")]);
        let found = other(&theirs, &url("https://a:1/")).unwrap();
        assert_eq!((found.reach.to_string(), found.since.as_str()), ("https://b:1".to_owned(), "noon"));
        assert_eq!(found.ca_bundle, b"a");
        assert!(other(&theirs, &url("https://b:1/")).is_none());
        assert!(other(&configuration(json!({}), &[]), &url("https://a:1")).is_none(), "the chart renders it empty");
        let edited =
            configuration(json!({OWNER: "https://a:1", SINCE: "noon"}), &[at("https://a:1"), at("https://evil:1")]);
        assert!(other(&edited, &url("https://a:1")).is_none(), "ours, and edited by hand");
        assert_eq!(since(&edited, &url("https://a:1")).as_deref(), Some("noon"));
        assert_eq!(
            other(&edited, &url("https://c:1")).unwrap().reach.to_string(),
            "https://a:1",
            "its owner repairs it"
        );
        let mut claimed = configuration(json!({OWNER: "https://a:1"}), &[at("https://b:1")]);
        let digest = stored::digest(&claimed);
        claimed.metadata.annotations.get_or_insert_default().insert(stored::WRITTEN.to_owned(), digest);
        let there = other(&claimed, &url("https://a:1")).unwrap();
        assert_eq!(there.reach.to_string(), "https://b:1", "an annotation alone takes nothing over");
        let both: MutatingWebhookConfiguration = serde_json::from_value(json!({})).unwrap();
        assert!(other(&both, &url("https://a:1")).is_none());
    }

    #[test]
    fn replicas_behind_a_service_are_one() {
        let service =
            |name: &str, port: u16| place(Reach::Service { namespace: "ours".to_owned(), name: name.to_owned(), port });
        let found = configuration(
            json!({OWNER: "Service ours/web:8443"}),
            &[json!({"service": {"namespace": "ours", "name": "web", "port": 8443}})],
        );
        assert!(other(&found, &service("web", 443)).is_none());
        let there = other(&found, &service("other", 443)).unwrap();
        assert_eq!(there.reach.to_string(), "Service ours/web:8443");
        assert!(other(&found, &url("https://a:1")).is_some());
    }
}
