//! Ways past a denial: the contacts of the sets that deny, and the exemptions that would count.

use std::sync::Arc;

use super::{Plan, Rule, Set};
use crate::model::{Action, Review};
use crate::registry::{Policy, Version};
use plimsoll_sdk::metadata::Severity;

/// A policy that denies, as the PolicySets know it.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Which.
    pub policy: Arc<Policy>,
    /// Its settings: sets with others do not deny by the same call.
    pub settings: Arc<[u8]>,
    /// The `policiesAsOf` of these sets.
    pub as_of: Option<Version>,
    /// Of what it found; none where it failed.
    pub severity: Option<Severity>,
}

/// Ways past a denial, beside following the policies.
#[derive(Clone, Debug, Default)]
pub struct Recourse {
    /// `contact` of the PolicySets that deny, each once.
    pub contacts: Vec<String>,
    /// The PolicySets that deny, by name.
    pub sets: Vec<String>,
    /// Namespaces in each of which a PolicyExemption counts for everything that is denied.
    pub exemption_namespaces: Vec<String>,
    /// Whether annotations of the object silence everything that is denied.
    pub self_exempt: bool,
    /// The policies that deny and whose page the binary has, most severe first.
    pub explained: Vec<String>,
}

impl Plan {
    /// Only sets whose own rule denies are asked for a contact. An exemption has to count for every set that shares the
    /// call, because what one of them does not concede, none does.
    pub(in crate::registry) fn recourse(&self, review: &Review, grounds: &[Ground]) -> Recourse {
        let mut recourse = Recourse { self_exempt: !grounds.is_empty(), ..Recourse::default() };
        if grounds.is_empty() {
            return recourse;
        }
        let sets: Vec<_> = self.applying(review).collect();
        let mut namespaces: Option<Vec<&String>> = None;
        for ground in grounds {
            let Some(place) = self.policies.iter().position(|policy| Arc::ptr_eq(policy, &ground.policy)) else {
                continue;
            };
            if self.builtin.get(ground.policy.bundle) == Some(&true) {
                add(&mut recourse.explained, &ground.policy.id);
            }
            // Nothing excuses a policy that could not judge.
            let is_finding = ground.severity.is_some();
            for (set, _, spared) in &sets {
                let Some(rule) = set.rules[place].as_ref().filter(|rule| rule.is_of(ground)) else { continue };
                recourse.self_exempt &= is_finding && rule.self_exempt;
                let listed = |name: &&String| is_finding && set.concessions.exemption_namespaces.contains(name);
                namespaces = Some(match namespaces {
                    Some(common) => common.into_iter().filter(listed).collect(),
                    None => set.concessions.exemption_namespaces.iter().filter(listed).collect(),
                });
                if spared.is_none() && rule.action(ground) == Action::Deny {
                    recourse.add(set);
                }
            }
        }
        recourse.exemption_namespaces = namespaces.unwrap_or_default().into_iter().cloned().collect();
        recourse
    }
}

impl Recourse {
    fn add(&mut self, set: &Set) {
        add(&mut self.sets, &set.name);
        if let Some(contact) = &set.concessions.contact {
            add(&mut self.contacts, contact);
        }
    }
}

impl Rule {
    /// Whether it is a part of this call.
    fn is_of(&self, ground: &Ground) -> bool {
        Arc::ptr_eq(&self.settings, &ground.settings) && self.as_of == ground.as_of
    }

    fn action(&self, ground: &Ground) -> Action {
        ground.severity.map_or(self.on_error, |severity| self.actions.of(severity))
    }
}

fn add(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}
