//! The normalised AdmissionRequest, from an AdmissionReview or from a file.

use std::ops::Range;

use plimsoll_flat::json::{JsonError, JsonErrorKind, from_json_omitting};
use plimsoll_flat::{Node, Writer};

use crate::model::size;

/// Parts that no policy reads directly. They are kept as text, and parsed when a policy asks `authored`.
const ASIDE: &[&[&str]] = &[
    &["request", "object", "metadata", "managedFields"],
    &["request", "object", "metadata", "annotations", LAST_APPLIED],
    &["request", "oldObject", "metadata", "managedFields"],
    &["request", "oldObject", "metadata", "annotations", LAST_APPLIED],
];

/// The annotation that `kubectl apply` without `--server-side` writes.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Group, version and kind.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Kind {
    /// Empty for the core group.
    pub group: String,
    /// `v1`
    pub version: String,
    /// `Deployment`
    pub kind: String,
}

impl Kind {
    /// `group/Kind`, which identifies a kind for policies and tables; `/Pod` for the core group.
    pub fn group_kind(&self) -> String {
        format!("{}/{}", self.group, self.kind)
    }

    /// `apps/v1`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Makes a kind from `apps/v1` and `Deployment`.
    pub fn from_api_version(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
    }
}

/// The operation on the object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// The object is created. Every object of a file counts as created.
    Create,
    /// The object is changed.
    Update,
    /// The object is deleted. The request contains only the old object.
    Delete,
    /// A stream into the object is opened (`exec`, `portforward`).
    Connect,
}

impl Operation {
    /// Spelling in the AdmissionRequest.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }
}

/// Why a body can't be judged as an AdmissionReview.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The body is not JSON, or exceeds the limits of depth and size.
    #[error("the body is not JSON that can be read: {0}")]
    Json(#[from] JsonError),
    /// The JSON has a different shape.
    #[error("the body is not an AdmissionReview of admission.k8s.io/v1: {0}")]
    Shape(&'static str),
    /// The object, or the whole request, is too large.
    #[error("{reason}")]
    TooLarge {
        /// Repeated in the answer. None if the body was too large to find it.
        uid: Option<String>,
        /// The limit that it exceeds, and what to do.
        reason: String,
    },
    /// An invalid request that has a uid, so that it can be answered.
    #[error("the AdmissionRequest cannot be judged: {reason}")]
    Request {
        /// Repeated in the answer.
        uid: String,
        /// The error, in words.
        reason: &'static str,
    },
}

/// Text that was set aside: the JSON of `managedFields`, and of the last-applied annotation (JSON inside a JSON
/// string).
#[derive(Clone, Debug, Default)]
pub(crate) struct Aside {
    pub(crate) managed_fields: Option<Box<[u8]>>,
    pub(crate) last_applied: Option<Box<[u8]>>,
}

/// Origin of a review. It decides how `authored` is answered.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// The API server, with the text set aside from the object and the old object.
    Cluster([Aside; 2]),
    /// A file. The author wrote everything in it.
    File,
}

/// One request to be judged.
#[derive(Clone, Debug)]
pub struct Review {
    /// The request's id, which the answer repeats. Empty for a file.
    pub uid: String,
    /// The operation.
    pub operation: Operation,
    /// The kind of the object in the request.
    pub kind: Kind,
    /// The resource's plural, `deployments`; empty for a file.
    pub resource: String,
    /// `scale`, `status`, …; empty for the object itself.
    pub subresource: String,
    /// Empty for cluster-scoped objects, and for objects of files without a namespace.
    pub namespace: String,
    /// Empty if the API server will generate it.
    pub name: String,
    /// The user; empty for a file.
    pub username: String,
    /// The groups of the user.
    pub groups: Vec<String>,
    /// Whether it is a dry run, so that nothing is stored.
    pub dry_run: bool,
    pub(crate) document: Vec<u8>,
    pub(crate) origin: Origin,
}

impl Review {
    /// Reads an AdmissionReview in one pass over its text.
    ///
    /// # Errors
    /// If the body is not JSON or not an AdmissionReview, or if the request is invalid or too large.
    pub fn from_admission_review(body: &[u8]) -> Result<Self, Malformed> {
        let (document, aside) = from_json_omitting(body, ASIDE).map_err(|error| match error.kind {
            JsonErrorKind::TooManyNodes => size::too_many(),
            _ => error.into(),
        })?;
        let root = Node::root(&document).map_err(|_| Malformed::Shape("it is empty"))?;
        let text = |node: Node<'_>, name: &str| node.get(name).and_then(Node::as_str).unwrap_or_default().to_owned();
        if text(root, "kind") != "AdmissionReview" {
            return Err(Malformed::Shape("`kind` is not AdmissionReview"));
        }
        if text(root, "apiVersion") != "admission.k8s.io/v1" {
            return Err(Malformed::Shape("`apiVersion` is not admission.k8s.io/v1"));
        }
        let request = root.get("request").ok_or(Malformed::Shape("`request` is missing"))?;
        let uid = text(request, "uid");
        if uid.is_empty() {
            return Err(Malformed::Shape("`request.uid` is missing or no string"));
        }
        let refuse = |reason| Malformed::Request { uid: uid.clone(), reason };
        let operation = match request.get("operation").and_then(Node::as_str) {
            Some("CREATE") => Operation::Create,
            Some("UPDATE") => Operation::Update,
            Some("DELETE") => Operation::Delete,
            Some("CONNECT") => Operation::Connect,
            _ => return Err(refuse("`operation` is not one of CREATE, UPDATE, DELETE and CONNECT")),
        };
        let kind = request.get("kind").ok_or_else(|| refuse("`kind` is missing"))?;
        let kind = Kind { group: text(kind, "group"), version: text(kind, "version"), kind: text(kind, "kind") };
        if kind.kind.is_empty() || kind.version.is_empty() {
            return Err(refuse("`kind` does not name a version and a kind"));
        }
        let is_object = |name: &str| request.get(name).is_some_and(|node| node.kind() == plimsoll_flat::Kind::Object);
        if matches!(operation, Operation::Create | Operation::Update) && !is_object("object") {
            return Err(refuse("`object` is not an object"));
        }
        let whole = request.to_document();
        size::check(&uid, body, &whole, operation)?;
        let user = request.get("userInfo");
        let groups = user.and_then(|user| user.get("groups")).into_iter().flat_map(Node::items);
        Ok(Self {
            operation,
            kind,
            resource: request.get("resource").map(|resource| text(resource, "resource")).unwrap_or_default(),
            subresource: text(request, "subResource"),
            namespace: text(request, "namespace"),
            name: name_of(request).unwrap_or_default().to_owned(),
            username: user.map(|user| text(user, "username")).unwrap_or_default(),
            groups: groups.filter_map(Node::as_str).map(str::to_owned).collect(),
            dry_run: request.get("dryRun").and_then(Node::as_bool).unwrap_or(false),
            origin: Origin::Cluster(set_aside(body, &aside)),
            document: whole,
            uid,
        })
    }

    /// The review of an object of a file, as a CREATE. None if the object has no kind.
    pub fn from_object(object: &serde_json::Value) -> Option<Self> {
        let text = |pointer: &str| object.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
        let kind = Kind::from_api_version(text("/apiVersion"), text("/kind"));
        if kind.kind.is_empty() || kind.version.is_empty() {
            return None;
        }
        let (namespace, name) = (text("/metadata/namespace").to_owned(), text("/metadata/name").to_owned());
        let document = plimsoll_flat::to_document(object).ok()?;
        let mut writer = Writer::with_capacity(document.len() + 256);
        writer.begin_object();
        for (member, value) in [("operation", "CREATE"), ("namespace", namespace.as_str()), ("name", name.as_str())] {
            writer.key(member);
            writer.string(value);
        }
        writer.key("kind");
        writer.begin_object();
        for (member, value) in [("group", &kind.group), ("version", &kind.version), ("kind", &kind.kind)] {
            writer.key(member);
            writer.string(value);
        }
        writer.end();
        writer.key("object");
        writer.node(Node::root(&document).ok()?);
        writer.end();
        Some(Self {
            uid: String::new(),
            operation: Operation::Create,
            kind,
            resource: String::new(),
            subresource: String::new(),
            namespace,
            name,
            username: String::new(),
            groups: Vec::new(),
            dry_run: false,
            document: writer.finish().ok()?,
            origin: Origin::File,
        })
    }

    /// The group of [`Review::resource`]. For a subresource, `kind` may be that of a different object.
    pub fn resource_group(&self) -> &str {
        let resource = Node::root(&self.document).ok().and_then(|request| request.get("resource"));
        resource.and_then(|resource| resource.get("group")).and_then(Node::as_str).unwrap_or(&self.kind.group)
    }

    /// The request as a flat document: the AdmissionRequest, without managed fields and last-applied configuration.
    pub fn document(&self) -> &[u8] {
        &self.document
    }

    /// The reviewed object; none on DELETE and CONNECT.
    pub fn object(&self) -> Option<Node<'_>> {
        self.request("object")
    }

    /// The old object. None on CREATE, unless a file comes with a record of the cluster.
    pub fn old_object(&self) -> Option<Node<'_>> {
        self.request("oldObject")
    }

    /// The managers of the old object's fields: the JSON text of `metadata.managedFields`.
    #[cfg(feature = "serve")]
    pub(crate) fn old_managed_fields(&self) -> Option<&[u8]> {
        match &self.origin {
            Origin::Cluster([_, old]) => old.managed_fields.as_deref(),
            Origin::File => None,
        }
    }

    /// The judged object. On DELETE, that is the old object.
    pub fn subject(&self) -> Option<Node<'_>> {
        self.object().or_else(|| self.old_object())
    }

    /// Whether the object comes from a file. Then the input is complete, and no object follows later.
    pub fn is_from_file(&self) -> bool {
        matches!(self.origin, Origin::File)
    }

    fn request(&self, member: &str) -> Option<Node<'_>> {
        Node::root(&self.document).ok()?.get(member).filter(|node| node.kind() == plimsoll_flat::Kind::Object)
    }

    /// The same request with another version of its object, for example after a round of mutation.
    pub fn with_object(&self, object: &serde_json::Value) -> Option<Self> {
        self.with_member("object", object)
    }

    /// The same request for an object without a name. Policies and messages use this name.
    pub fn called(&self, name: &str) -> Option<Self> {
        Some(Self { name: name.to_owned(), ..self.with_member("name", &name.into())? })
    }

    /// Whether the object has no name of its own and uses a substitute.
    pub fn is_called(&self) -> bool {
        let own = self.object().and_then(|object| object.at("/metadata/name")).and_then(Node::as_str);
        !self.name.is_empty() && own.is_none_or(str::is_empty)
    }

    /// The object under the name that policies and messages use.
    pub fn object_as_called(&self) -> Option<serde_json::Value> {
        let mut object = serde_json::to_value(self.object()?).ok()?;
        if self.is_called()
            && let Some(members) = object.as_object_mut()
        {
            let metadata = members.entry("metadata").or_insert_with(|| serde_json::json!({}));
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.insert("name".to_owned(), self.name.as_str().into());
            }
        }
        Some(object)
    }

    /// The same request, with an old object.
    pub fn with_old_object(&self, old: &serde_json::Value) -> Option<Self> {
        self.with_member("oldObject", old)
    }

    /// The same request, with the places where the input declares the same object with different content.
    pub fn with_declarations(&self, places: &[String]) -> Option<Self> {
        self.with_member("declarations", &places.into())
    }

    fn with_member(&self, member: &str, value: &serde_json::Value) -> Option<Self> {
        let document = plimsoll_flat::to_document(value).ok()?;
        let request = Node::root(&self.document).ok()?;
        let mut writer = Writer::with_capacity(self.document.len() + document.len());
        writer.begin_object();
        for (name, node) in request.members().filter(|(name, _)| *name != member) {
            writer.key(name);
            writer.node(node);
        }
        writer.key(member);
        writer.node(Node::root(&document).ok()?);
        writer.end();
        Some(Self { document: writer.finish().ok()?, ..self.clone() })
    }
}

fn set_aside(body: &[u8], ranges: &[Option<Range<usize>>]) -> [Aside; 2] {
    let slice = |index: usize| ranges.get(index)?.clone().and_then(|range| body.get(range)).map(Box::from);
    [
        Aside { managed_fields: slice(0), last_applied: slice(1) },
        Aside { managed_fields: slice(2), last_applied: slice(3) },
    ]
}
/// The name in a request. When a collection is deleted, only the object itself has the name.
fn name_of(request: Node<'_>) -> Option<&str> {
    let stated = request.get("name").and_then(Node::as_str).filter(|name| !name.is_empty());
    stated.or_else(|| request.at("/oldObject/metadata/name").and_then(Node::as_str))
}
