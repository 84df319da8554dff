//! Users of the API server.

/// The cluster's administrator, in `system:masters`: has every right.
pub const ADMIN: &str = "admin";

/// A user without any right until [`crate::ControlPlane::allow`] grants one.
pub const PLAIN: &str = "plain";

/// A user with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Name of the user for RBAC and admission. A service account is a user too:
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub name: String,
    /// Groups, in addition to `system:authenticated`, which every user with a token has.
    pub groups: Vec<String>,
}

impl User {
    /// A user in these groups.
    pub fn new(name: &str, groups: &[&str]) -> Self {
        Self { name: name.to_owned(), groups: groups.iter().map(|&group| group.to_owned()).collect() }
    }
}
