//! Who asks the API server.

/// The cluster's administrator: in `system:masters`, may do anything.
pub const ADMIN: &str = "admin";

/// A user who may do nothing until [`crate::ControlPlane::allow`] says so.
pub const PLAIN: &str = "plain";

/// A user with a token of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user's name, as RBAC and admission see it. A service account is one too:
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub name: String,
    /// The groups, beside `system:authenticated`, which everyone with a token is in.
    pub groups: Vec<String>,
}

impl User {
    /// A user in these groups.
    pub fn new(name: &str, groups: &[&str]) -> Self {
        Self { name: name.to_owned(), groups: groups.iter().map(|&group| group.to_owned()).collect() }
    }
}
