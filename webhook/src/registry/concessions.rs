//! Concessions of a PolicySet: to users, to exemptions, and the time for a set of objects to become complete.

use std::time::Duration;

use super::fields::{Field, Mapping, Reader};
use super::policy_set::Located;
use crate::model::{Review, Spared, parse_duration};
use crate::printed::is_hidden;

/// Default age of an object from which a missing companion counts.
const ENFORCE_AFTER: Duration = Duration::from_secs(600);

/// The keys of `spec` that are read here.
pub(super) const KEYS: [&str; 6] =
    ["enforceAfter", "breakGlass", "trustedControllers", "exemptionNamespaces", "selfExempt", "contact"];

/// Maximum number of characters of `contact`. A denial has room for 1,000 and may name two contacts.
pub(super) const MAX_CONTACT: usize = 120;

/// Category that the object itself can never silence.
const NEVER_SELF_EXEMPT: &str = "security";

#[derive(Clone, Debug)]
pub(super) struct Concessions {
    /// `enforceAfter`
    pub(super) enforce_after: Duration,
    break_glass: Requesters,
    /// Names of users.
    trusted_controllers: Vec<String>,
    pub(super) exemption_namespaces: Vec<String>,
    /// Names of categories. Whether they exist is known only with the bundle.
    pub(super) self_exempt: Vec<Located<String>>,
    /// Where users ask for an exemption.
    pub(super) contact: Option<String>,
}

/// Users and groups by whole names. A pattern could match more users than its author intended, and each of them could
/// get past the policies.
#[derive(Clone, Debug, Default)]
struct Requesters {
    users: Vec<String>,
    groups: Vec<String>,
}

impl Default for Concessions {
    fn default() -> Self {
        Self {
            enforce_after: ENFORCE_AFTER,
            break_glass: Requesters::default(),
            trusted_controllers: Vec::new(),
            exemption_namespaces: Vec::new(),
            self_exempt: Vec::new(),
            contact: None,
        }
    }
}

impl Concessions {
    pub(super) fn read<'a>(reader: &mut Reader<'a>, spec: &Mapping<'a>) -> Self {
        let mut concessions = Self::default();
        if let Some(after) = spec.get("enforceAfter").and_then(|field| duration(reader, &field)) {
            concessions.enforce_after = after;
        }
        if let Some(field) = spec.get("breakGlass") {
            let mapping = reader.mapping(&field, &["users", "groups"], &[]);
            concessions.break_glass =
                Requesters { users: words(reader, &mapping, "users"), groups: words(reader, &mapping, "groups") };
        }
        concessions.trusted_controllers = words(reader, spec, "trustedControllers");
        concessions.contact = spec.written("contact").and_then(|field| contact(reader, &field));
        concessions.exemption_namespaces = words(reader, spec, "exemptionNamespaces");
        if let Some(field) = spec.get("selfExempt") {
            for item in reader.list(&field) {
                let Some(name) = reader.string(&item) else { continue };
                if name == NEVER_SELF_EXEMPT {
                    let reason = "a workload may never excuse itself from `security`; an operator can, with a \
                                  PolicyExemption";
                    reader.invalid(&item, reason.to_owned());
                    continue;
                }
                let position = reader.position(&item.pointer);
                concessions.self_exempt.push(Located { value: name.to_owned(), position });
            }
        }
        concessions
    }

    /// Why a Deny only warns the user of this review, if so.
    pub(super) fn spares(&self, review: &Review) -> Option<Spared> {
        if self.break_glass.include(review) {
            Some(Spared::BreakGlass)
        } else if self.trusted_controllers.contains(&review.username) {
            Some(Spared::TrustedController)
        } else {
            None
        }
    }
}

impl Requesters {
    fn include(&self, review: &Review) -> bool {
        self.users.contains(&review.username) || self.groups.iter().any(|group| review.groups.contains(group))
    }
}

/// One line of text that users see: a channel or a link.
fn contact<'a>(reader: &mut Reader<'a>, field: &Field<'a>) -> Option<String> {
    if field.value.is_null() {
        let reason = "it is empty, for YAML takes what follows a # for a comment; write it in quotes, such as \
                      \"#platform on Slack\"";
        reader.invalid(field, reason.to_owned());
        return None;
    }
    let text = reader.string(field)?.trim();
    let count = text.chars().count();
    let problem = if text.is_empty() {
        "it is empty; write where to ask, such as \"#platform on Slack\", or leave it out".to_owned()
    } else if text.contains(['\n', '\r']) {
        "it has several lines; write one, such as \"#platform on Slack\"".to_owned()
    } else if let Some(hidden) = text.chars().find(|character| is_hidden(*character)) {
        format!("it has the character U+{:04X}, which cannot be seen; take it out", u32::from(hidden))
    } else if count > MAX_CONTACT {
        format!("it has {count} characters, and at most {MAX_CONTACT} are shown; write a channel, or a short link")
    } else {
        return Some(text.to_owned());
    };
    reader.invalid(field, problem);
    None
}

fn duration(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Duration> {
    let text = field.value.as_str().unwrap_or_default();
    let duration = parse_duration(text);
    if duration.is_none() {
        reader.invalid(field, "it is no duration; write for instance \"10m\", or \"0s\" for at once".to_owned());
    }
    duration
}

/// A list of strings. Empty strings and wildcards are errors. An empty list equals the default.
fn words<'a>(reader: &mut Reader<'a>, mapping: &Mapping<'a>, key: &str) -> Vec<String> {
    let items = mapping.get(key).map(|field| reader.list(&field)).unwrap_or_default();
    let mut words = Vec::new();
    for item in items {
        let Some(text) = reader.string(&item) else { continue };
        if text.is_empty() || text.contains('*') {
            reader.invalid(&item, "it is a whole name; there are no wildcards here".to_owned());
        } else {
            words.push(text.to_owned());
        }
    }
    words
}
