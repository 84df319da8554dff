//! How the API server serves the objects of a kind: whether it does, under which path, and how to read them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;
use std::time::Duration;

use futures_util::Stream;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIResource, ListMeta};
use kube::Client;
use kube::api::{GetParams, ListParams, WatchEvent, WatchParams};
use kube::core::Request;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::NAMESPACE;
use super::kept::Keeping;
use crate::registry::Parts;
use crate::registry::served::written_for;
use plimsoll_sdk::question::Shape;

/// Timeout for one request, with its answer read.
pub(crate) const REQUEST_TIME: Duration = Duration::from_secs(60);

/// Maximum number of pages of a list. At 250 objects a page, this is a million.
const MAX_PAGES: usize = 4_000;

/// Maximum number of versions of a group that are inspected, best first.
const MAX_VERSIONS: usize = 20;

/// Why the objects of a kind are not known.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NotKnown {
    /// The message of the API server, or of the connection.
    #[error("{0}")]
    Refused(String),
    /// The request took longer than [`REQUEST_TIME`].
    #[error("the API server did not answer in time")]
    TooSlow,
    /// Discovery failed.
    #[error("the API server does not say what it serves: {0}")]
    Undiscovered(Box<NotKnown>),
    /// The list has more than [`MAX_PAGES`] pages: a broken proxy, or a hostile API server.
    #[error("the API server sends a list of more than {MAX_PAGES} pages")]
    TooManyPages,
    /// A `continue` token was repeated, for the same reasons.
    #[error("the API server sends the same `continue` token twice: its list never ends")]
    Repeated,
}

impl From<kube::Error> for NotKnown {
    fn from(error: kube::Error) -> Self {
        Self::Refused(reason(&error))
    }
}

/// The `continue` tokens of one list. They show whether the list comes to an end.
#[derive(Debug, Default)]
pub(crate) struct Tokens(HashSet<String>);

impl Tokens {
    /// The token of the next page. None after the last page.
    ///
    /// # Errors
    /// If the list would never end, as with a broken proxy or a hostile API server.
    pub(crate) fn next(&mut self, token: Option<String>) -> Result<Option<String>, NotKnown> {
        let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
        if self.0.len() >= MAX_PAGES {
            return Err(NotKnown::TooManyPages);
        }
        if !self.0.insert(token.clone()) {
            return Err(NotKnown::Repeated);
        }
        Ok(Some(token))
    }
}

/// A kind as the API server serves it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Resource {
    /// `apps/v1`
    pub(super) api_version: String,
    /// `Deployment`
    pub(super) kind: String,
    plural: String,
    pub(super) namespaced: bool,
}

impl Resource {
    /// The path of all objects, or of the objects of one namespace.
    pub(super) fn path(&self, namespace: Option<&str>) -> String {
        let Self { api_version, plural, .. } = self;
        let root = if api_version.contains('/') { "apis" } else { "api" };
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("/{root}/{api_version}/namespaces/{namespace}/{plural}"),
            None => format!("/{root}/{api_version}/{plural}"),
        }
    }
}

/// One page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    pub(crate) metadata: ListMeta,
    /// Objects without `apiVersion` and `kind`.
    #[serde(default)]
    pub(crate) items: Option<Vec<Value>>,
}

impl Resource {
    /// Reads one page of the objects.
    pub(crate) async fn list(
        &self,
        client: &Client,
        namespace: Option<&str>,
        parameters: &ListParams,
    ) -> kube::Result<Page> {
        let request = Request::new(self.path(namespace));
        let request =
            if self.is_known_by_metadata() { request.list_metadata(parameters) } else { request.list(parameters) };
        client.request(request.map_err(kube::Error::BuildRequest)?).await
    }

    /// Watches the objects from this version on.
    pub(super) async fn watch(
        &self,
        client: &Client,
        namespace: Option<&str>,
        parameters: &WatchParams,
        version: &str,
    ) -> kube::Result<impl Stream<Item = kube::Result<WatchEvent<Value>>> + Send + use<>> {
        let request = Request::new(self.path(namespace));
        let request = match self.is_known_by_metadata() {
            true => request.watch_metadata(parameters, version),
            false => request.watch(parameters, version),
        };
        client.request_events(request.map_err(kube::Error::BuildRequest)?).await
    }

    /// Reads one object.
    pub(super) async fn get(&self, client: &Client, namespace: &str, name: &str) -> kube::Result<Value> {
        let request = Request::new(self.path(Some(namespace)));
        let request = match self.is_known_by_metadata() {
            true => request.get_metadata(name, &GetParams::default()),
            false => request.get(name, &GetParams::default()),
        };
        client.request(request.map_err(kube::Error::BuildRequest)?).await
    }

    /// Which parts of the objects are kept.
    pub(super) fn keeping<'a>(&'a self, shape: Shape<'a>, parts: Option<&'a Parts>) -> Keeping<'a> {
        static NOTHING: LazyLock<Parts> = LazyLock::new(Parts::default);
        // If no policy asks for namespaces, only the identity of each is kept.
        let parts = parts.or_else(|| (shape.kind == NAMESPACE).then(|| &*NOTHING));
        Keeping::new(shape, parts).typed(&self.api_version, &self.kind)
    }

    /// A whole object with its status, as a document. None if the value is not an object, or exceeds the limits of a
    /// document.
    #[cfg(feature = "check")]
    pub(crate) fn whole(&self, object: &Value) -> Option<Vec<u8>> {
        let keeping = self.keeping(Shape { kind: "", templates: &[] }, None).with_status();
        Some(keeping.keep(object)?.document)
    }

    /// Whether only metadata is requested. The data of ConfigMaps never leaves the API server.
    fn is_known_by_metadata(&self) -> bool {
        self.api_version == "v1" && self.kind == "ConfigMap"
    }
}

/// How the API server serves each of these kinds (`group/Kind`). None for a kind that it does not serve.
///
/// This asks for the groups, and for the resources of a few versions. A group that exists but does not answer is an
/// error, because the kind may exist. This happens if an aggregated API server is down.
pub(crate) async fn discover(
    client: &Client,
    kinds: &BTreeSet<String>,
) -> BTreeMap<String, Result<Option<Resource>, NotKnown>> {
    let mut found = BTreeMap::new();
    let groups = match timeout(REQUEST_TIME, client.list_api_groups()).await {
        Ok(Ok(groups)) => Ok(groups.groups),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(NotKnown::TooSlow),
    };
    let groups = match groups {
        Ok(groups) => groups,
        Err(error) => {
            let error = NotKnown::Undiscovered(Box::new(error));
            return kinds.iter().map(|kind| (kind.clone(), Err(error.clone()))).collect();
        }
    };
    let mut listed = Listed { wanted: kinds, versions: HashMap::new() };
    for group_kind in kinds {
        let Some((group, kind)) = group_kind.split_once('/') else { continue };
        let resource = resource(client, &mut listed, &versions(&groups, group, kind), kind).await;
        found.insert(group_kind.clone(), resource);
    }
    found
}

/// A short reason for the log and for `/readyz?verbose`.
pub(super) fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Api(status) => format!("{} {}", status.code, status.reason),
        // The innermost cause is the useful one, for example of a refused connection in hyper.
        other => {
            let mut text = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(error) = cause {
                text = error.to_string();
                cause = error.source();
            }
            text
        }
    }
}

/// The versions of the group of a kind, best first: the one that policies are written for, the API server's preferred one, the
/// others.
fn versions(groups: &[APIGroup], group: &str, kind: &str) -> Vec<String> {
    if group.is_empty() {
        return vec!["v1".to_owned()];
    }
    let Some(served) = groups.iter().find(|served| served.name == group) else { return Vec::new() };
    let mut versions: Vec<String> = served.versions.iter().map(|version| version.group_version.clone()).collect();
    let written_for = written_for(group, kind);
    let preferred = served.preferred_version.as_ref().map(|version| &version.group_version);
    versions.sort_by_key(|version| (*version != written_for, Some(version) != preferred));
    versions
}

/// Resources of the inspected versions, by version and kind.
struct Listed<'a> {
    wanted: &'a BTreeSet<String>,
    versions: HashMap<String, HashMap<String, APIResource>>,
}

impl Listed<'_> {
    /// Keeps only the wanted resources, one for each kind. A hostile version may list millions.
    fn add(&mut self, version: &str, resources: Vec<APIResource>) {
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let of_version = self.versions.entry(version.to_owned()).or_default();
        for resource in resources {
            let can = |verb: &str| resource.verbs.iter().any(|known| known == verb);
            let is_wanted = self.wanted.contains(&format!("{group}/{}", resource.kind));
            if is_wanted && !resource.name.contains('/') && can("list") && can("watch") {
                of_version.entry(resource.kind.clone()).or_insert(resource);
            }
        }
    }

    fn get(&self, version: &str, kind: &str) -> Option<&APIResource> {
        self.versions.get(version)?.get(kind)
    }
}

async fn resource(
    client: &Client,
    listed: &mut Listed<'_>,
    versions: &[String],
    kind: &str,
) -> Result<Option<Resource>, NotKnown> {
    for version in versions.iter().take(MAX_VERSIONS) {
        if !listed.versions.contains_key(version) {
            let resources = timeout(REQUEST_TIME, async {
                match version.contains('/') {
                    true => client.list_api_group_resources(version).await,
                    false => client.list_core_api_resources(version).await,
                }
            });
            let resources = match resources.await {
                Ok(Ok(list)) => list.resources,
                Ok(Err(kube::Error::Api(status))) if status.is_not_found() => Vec::new(),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(NotKnown::TooSlow),
            };
            listed.add(version, resources);
        }
        if let Some(resource) = listed.get(version, kind) {
            return Ok(Some(Resource {
                api_version: version.clone(),
                kind: kind.to_owned(),
                plural: resource.name.clone(),
                namespaced: resource.namespaced,
            }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::GroupVersionForDiscovery;

    use super::*;

    #[test]
    fn the_version_that_policies_are_written_for_comes_first() {
        let version = |version: &str| GroupVersionForDiscovery {
            group_version: format!("autoscaling/{version}"),
            version: version.to_owned(),
        };
        let group = |versions: &[&str], preferred: &str| APIGroup {
            name: "autoscaling".to_owned(),
            versions: versions.iter().copied().map(version).collect(),
            preferred_version: Some(version(preferred)),
            ..APIGroup::default()
        };
        for (served, preferred, expected) in [
            (&["v1", "v2"][..], "v1", &["autoscaling/v2", "autoscaling/v1"][..]),
            (&["v1", "v3"], "v3", &["autoscaling/v3", "autoscaling/v1"]),
        ] {
            let groups = [group(served, preferred)];
            assert_eq!(versions(&groups, "autoscaling", "HorizontalPodAutoscaler"), expected);
        }
        assert_eq!(versions(&[], "", "Pod"), ["v1"]);
        assert!(versions(&[group(&["v1"], "v1")], "keda.sh", "ScaledObject").is_empty());
    }

    #[test]
    fn lists_that_never_end() {
        let token = |text: &str| Some(text.to_owned());
        let mut tokens = Tokens::default();
        assert_eq!(tokens.next(token("a")), Ok(token("a")));
        assert_eq!(tokens.next(token("b")), Ok(token("b")));
        assert_eq!(tokens.next(token("a")), Err(NotKnown::Repeated), "in turns too");
        assert_eq!((tokens.next(token("")), tokens.next(None)), (Ok(None), Ok(None)));
        let mut tokens = Tokens::default();
        let mut pages = 0..MAX_PAGES;
        assert!(pages.all(|page| tokens.next(token(&page.to_string())).is_ok()));
        assert_eq!(tokens.next(token("more")), Err(NotKnown::TooManyPages));
    }

    #[test]
    fn paths() {
        let resource = |api_version: &str, namespaced| Resource {
            api_version: api_version.to_owned(),
            kind: "Thing".to_owned(),
            plural: "things".to_owned(),
            namespaced,
        };
        assert_eq!(resource("v1", true).path(Some("a")), "/api/v1/namespaces/a/things");
        assert_eq!(resource("apps/v1", true).path(None), "/apis/apps/v1/things");
        assert_eq!(resource("apps/v1", false).path(Some("a")), "/apis/apps/v1/things");
    }
}
