//! The parties of a review: address, namespace and user. The queue uses them, so that no party waits behind the work of
//! another one. They are read from the beginning of the body, before the body is parsed.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::address::Address;

/// Maximum number of bytes that are read. The API server writes namespace and user before the object.
const LOOKED_AT: usize = 16 << 10;

/// Prefix of the accounts of the control plane. Their work is for all users.
const SYSTEM: &str = "system:";

/// The parties of a review.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Parties {
    pub(super) address: Address,
    /// Hash of the namespace, for a namespaced object.
    pub(super) namespace: Option<u64>,
    /// Hash of the user, unless it is an account of the control plane.
    pub(super) user: Option<u64>,
}

/// Reads the parties. Names are hashed, so that they need no memory.
#[derive(Debug, Default)]
pub(super) struct Reader(RandomState);

impl Reader {
    pub(super) fn of(&self, address: Address, body: &[u8]) -> Parties {
        let mut head = Head::default();
        let looked_at = body.get(..LOOKED_AT).unwrap_or(body);
        // This always ends with an error: when both names are known, or at the end of the part.
        let _ = Members { head: &mut head, inside: Inside::Review }
            .deserialize(&mut serde_json::Deserializer::from_slice(looked_at));
        let named = |name: Option<String>| name.filter(|name| !name.is_empty()).map(|name| self.0.hash_one(name));
        // The name of a ServiceAccount also starts with `system:`, but it may belong to any tenant.
        let is_system = |user: &String| user.starts_with(SYSTEM) && !is_tenants_account(user);
        let user = head.user.filter(|user| !is_system(user));
        Parties { address, namespace: named(head.namespace), user: named(user) }
    }
}

fn is_tenants_account(user: &str) -> bool {
    user.strip_prefix("system:serviceaccount:").is_some_and(|account| !account.starts_with("kube-system:"))
}

#[derive(Debug, Default)]
struct Head {
    namespace: Option<String>,
    user: Option<String>,
}

#[derive(Clone, Copy)]
enum Inside {
    Review,
    Request,
    User,
}

/// The members of one object on the path to both names.
struct Members<'a> {
    head: &'a mut Head,
    inside: Inside,
}

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { head, inside } = self;
        while let Some(name) = members.next_key::<String>()? {
            let next = match (inside, name.as_str()) {
                (Inside::Review, "request") => Inside::Request,
                (Inside::Request, "userInfo") => Inside::User,
                (Inside::Request, "namespace") => {
                    head.namespace = Some(members.next_value()?);
                    continue;
                }
                (Inside::User, "username") => {
                    head.user = Some(members.next_value()?);
                    // The namespace, if there is one, comes before the user.
                    return Err(serde::de::Error::custom("enough is known"));
                }
                _ => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            members.next_value_seed(Members { head, inside: next })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn address() -> Address {
        Address::of(std::net::IpAddr::from([192, 0, 2, 1]))
    }

    fn review(namespace: &str, user: &str) -> String {
        // In the order in which the API server writes it.
        format!(
            r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"1","kind":{},
            "name":"web","namespace":{},"operation":"CREATE","userInfo":{{"username":{},"groups":["a"]}},"object":{}}}}}"#,
            json!({"group": "apps", "version": "v1", "kind": "Deployment"}),
            json!(namespace),
            json!(user),
            json!({"padding": "x".repeat(1 << 20)})
        )
    }

    #[test]
    fn reads_namespace_and_user() {
        let reader = Reader::default();
        let of = |body: &str| reader.of(address(), body.as_bytes());
        let one = of(&review("shop", "alice"));
        assert!(one.namespace.is_some() && one.user.is_some());
        assert_eq!(one, of(&review("shop", "alice")));
        assert_ne!(one.namespace, of(&review("bank", "alice")).namespace);
        assert_ne!(one.user, of(&review("shop", "bob")).user);
        let system = of(&review("shop", "system:serviceaccount:kube-system:replicaset-controller"));
        assert_eq!((system.namespace, system.user), (one.namespace, None));
        assert_eq!(of(&review("", "system:node:a")).namespace, None);
        assert!(of(&review("shop", "system:serviceaccount:shop:default")).user.is_some());
    }

    #[test]
    fn takes_whatever_is_sent() {
        let reader = Reader::default();
        let late =
            json!({"request": {"object": {"a": "x".repeat(LOOKED_AT)}, "userInfo": {"username": "a"}}}).to_string();
        for body in ["", "[", "{\"request\":7}", "{\"request\":{\"namespace\":{}}}", "\u{0}", late.as_str()] {
            let parties = reader.of(address(), body.as_bytes());
            assert_eq!((parties.namespace, parties.user), (None, None), "{body:.40}");
        }
    }
}
