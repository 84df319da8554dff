//! PolicyExemptions: narrow permissions to violate a policy, each with a reason and an end.

use super::fields::{Mapping, Reader};
use super::matching::Match;
use super::namespaces::Namespaces;
use super::policy_set::Located;
use super::problem::Position;
use crate::model::{Moment, Review};

/// One PolicyExemption. It counts until it expires, and only if a PolicySet lists its namespace.
#[derive(Clone, Debug)]
pub struct Exemption {
    /// `metadata.name`
    pub name: String,
    /// `metadata.namespace`
    pub namespace: String,
    /// Reason of the exemption.
    pub reason: String,
    /// The person or team that is responsible for it.
    pub owner: String,
    /// The end, as written.
    pub expires: String,
    pub(super) end: Moment,
    pub(super) policies: Vec<Located<String>>,
    /// None for every namespace.
    namespaces: Option<Namespaces>,
    requests: Match,
    /// Position of the name.
    pub(super) position: Position,
}

impl Exemption {
    /// Whether it has expired.
    pub fn expired(&self, now: Moment) -> bool {
        now >= self.end
    }

    /// Position of its name in the file.
    pub fn position(&self) -> &Position {
        &self.position
    }

    pub(super) fn covers(&self, policy: &str) -> bool {
        self.policies.iter().any(|id| id.value == policy)
    }

    pub(super) fn matches(&self, review: &Review) -> bool {
        self.namespaces.as_ref().is_none_or(|namespaces| namespaces.hold(&review.namespace))
            && self.requests.matches(review)
    }

    /// Reads the `spec` of a document with this name in this namespace. Every field is required: an exemption without a
    /// reason, an owner or an end would be a hole in the policies.
    pub(super) fn read<'a>(
        reader: &mut Reader<'a>,
        spec: &Mapping<'a>,
        name: Located<String>,
        namespace: String,
    ) -> Option<Self> {
        let policies = reader.required(spec, "policies").map(|field| {
            let ids = reader.strings(&field);
            let located = |(item, id): (_, &str)| Located { value: id.to_owned(), position: position(reader, &item) };
            ids.into_iter().map(located).collect::<Vec<_>>()
        });
        let reason = required_text(reader, spec, "reason");
        let owner = required_text(reader, spec, "owner");
        let expires = required_text(reader, spec, "expires");
        let field = reader.required(spec, "match")?;
        let mapping = reader.any_mapping(&field);
        let namespaces = mapping.get("namespaces").map(|field| Namespaces::read(reader, &field));
        let requests = Match::read_with(reader, &field, &["namespaces"]);
        let narrow = namespaces.as_ref().is_some_and(|namespaces| !namespaces.are_all()) || requests.is_narrow();
        if !narrow {
            let reason = "it matches everything; name `namespaces`, or `resourceRules` with resources";
            reader.invalid(&field, reason.to_owned());
        }
        let end = Moment::parse_end(&expires.clone()?);
        if end.is_none()
            && let Some(field) = spec.get("expires")
        {
            let reason = "it is no date; write for instance \"2026-12-31\", or \"2026-12-31T18:00:00Z\"";
            reader.invalid(&field, reason.to_owned());
        }
        Some(Self {
            name: name.value,
            namespace,
            reason: reason?,
            owner: owner?,
            expires: expires?,
            end: end?,
            policies: policies?,
            namespaces,
            requests,
            position: name.position,
        })
    }
}

fn position(reader: &Reader<'_>, field: &super::fields::Field<'_>) -> Position {
    reader.position(&field.pointer)
}

fn required_text<'a>(reader: &mut Reader<'a>, spec: &Mapping<'a>, key: &str) -> Option<String> {
    let field = reader.required(spec, key)?;
    let text = reader.string(&field)?.trim();
    if text.is_empty() {
        reader.invalid(&field, "it is empty".to_owned());
        return None;
    }
    Some(text.to_owned())
}
