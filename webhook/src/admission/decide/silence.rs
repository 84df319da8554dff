//! A finding is silenced by a PolicyExemption, or by an annotation of the object itself.

use std::sync::Arc;

use plimsoll_flat::Node;

use super::reserved::ANNOTATIONS;
use crate::admission::verdict::{Silence, Unused};
use crate::model::{Action, Moment};
use crate::registry::Selected;

/// Prefix of the annotations that ignore a policy. The policy's id follows it, and the value is the reason.
pub(super) const IGNORE: &str = "plimsoll.dev/ignore.";

const NO_REASON: &str = "has no reason, so it counts for nothing; write why as its value";

/// The annotations that ignore a policy, and which of them silenced something.
#[derive(Debug, Default)]
pub(in crate::admission) struct Annotations<'a> {
    ignores: Vec<Ignore<'a>>,
}

#[derive(Debug)]
struct Ignore<'a> {
    policy: &'a str,
    reason: String,
    /// The last day as written, and the moment at which it ends. The moment is none if the text is not a date. None if
    /// the annotation names no day.
    until: Option<(&'a str, Option<Moment>)>,
    used: bool,
    /// Whether it matched a finding that it may not silence, because the finding denies.
    denied: bool,
    over: bool,
}

impl<'a> Annotations<'a> {
    pub(in crate::admission) fn of(object: Option<Node<'a>>) -> Self {
        let annotations = object.and_then(|object| object.get("metadata")?.get("annotations"));
        let ignore = |(name, value): (&'a str, Node<'a>)| {
            Some(Ignore::read(name.strip_prefix(IGNORE)?, value.as_str().unwrap_or_default()))
        };
        Self { ignores: annotations.into_iter().flat_map(Node::members).filter_map(ignore).collect() }
    }

    /// Annotations that matched no finding. Policies that failed are left out, because their findings are unknown.
    pub(super) fn unused(&self, judged: impl Fn(&str) -> bool) -> Vec<Unused> {
        let silent = self.ignores.iter().filter(|ignore| !ignore.used && judged(ignore.policy));
        let unused = |ignore: &Ignore<'_>| Unused {
            at: ANNOTATIONS.to_owned(),
            name: format!("{IGNORE}{}", ignore.policy),
            complaint: ignore.complaint(),
            warning: ignore.mistake().map(str::to_owned),
        };
        silent.map(unused).collect()
    }

    /// What silences a finding of this policy, if its action is `action`. An exemption silences any finding. An
    /// annotation of the object silences no Deny, unless the PolicySets allow it for the policy's category.
    pub(in crate::admission) fn silence(
        &mut self,
        selected: &Selected,
        action: Action,
        now: Moment,
    ) -> Option<Silence> {
        if let Some(exemption) = selected.exemption.as_ref().filter(|exemption| !exemption.expired(now)) {
            return Some(Silence::Exemption(Arc::clone(exemption)));
        }
        let ignore = self.ignores.iter_mut().find(|ignore| ignore.policy == selected.policy.id)?;
        let until = match ignore.until {
            Some((_, None)) => return None,
            Some((_, Some(end))) if now >= end => {
                ignore.over = true;
                return None;
            }
            Some((day, Some(_))) => Some(day.to_owned()),
            None => None,
        };
        if ignore.reason.is_empty() {
            return None;
        }
        if action == Action::Deny && !selected.self_exempt {
            ignore.denied = true;
            return None;
        }
        ignore.used = true;
        Some(Silence::Annotation { reason: ignore.reason.clone(), until })
    }
}

impl<'a> Ignore<'a> {
    /// Reads the value of an annotation: a reason, which can contain `until=2026-12-31` as its end.
    fn read(policy: &'a str, text: &'a str) -> Self {
        let is_until = |word: &&str| word.starts_with("until=");
        let until = text.split_whitespace().find(is_until).map(|word| {
            let day = &word["until=".len()..];
            (day, Moment::parse_end(day))
        });
        let reason: Vec<&str> = text.split_whitespace().filter(|word| !is_until(word)).collect();
        let reason = reason.join(" ").trim_end_matches([';', ',']).to_owned();
        Self { policy, reason, until, used: false, denied: false, over: false }
    }

    /// Mistakes that are wrong on any object.
    fn mistake(&self) -> Option<&'static str> {
        match self.until {
            _ if self.reason.is_empty() => Some(NO_REASON),
            Some((_, None)) => Some("ends at no date, so it counts for nothing; write until=2026-12-31"),
            _ => None,
        }
    }

    fn complaint(&self) -> String {
        match self.until {
            _ if self.reason.is_empty() => NO_REASON.to_owned(),
            Some((day, None)) => {
                format!("ends at {day:?}, which is no date, so it counts for nothing; write until=2026-12-31")
            }
            _ if self.over => "is over; take it away, or give it another end".to_owned(),
            _ if self.denied => "cannot silence what is denied; ask for a PolicyExemption".to_owned(),
            _ => "silences nothing here; take it away".to_owned(),
        }
    }
}
