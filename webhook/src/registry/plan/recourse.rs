//! Ways past a denial: the contacts of the sets that deny, and the exemptions that would count.

use std::sync::Arc;

use super::{Plan, Rule, Set};
use crate::model::{Action, Review};
use crate::registry::{Policy, Version};
use plimsoll_sdk::metadata::Severity;

/// A policy that denies, as identified in the PolicySets.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Its settings. A set with different settings makes a different call.
    pub settings: Arc<[u8]>,
    /// `policiesAsOf` of these sets.
    pub as_of: Option<Version>,
    /// Severity of its finding. None if the policy failed.
    pub severity: Option<Severity>,
}

/// Ways past a denial, other than following the policies.
#[derive(Clone, Debug, Default)]
pub struct Recourse {
    /// `contact` of each PolicySet that denies, without repetition.
    pub contacts: Vec<String>,
    /// Names of the PolicySets that deny.
    pub sets: Vec<String>,
    /// Namespaces in which a PolicyExemption counts for every reason of the denial.
    pub exemption_namespaces: Vec<String>,
    /// Whether annotations of the object can silence every reason of the denial.
    pub self_exempt: bool,
    /// The policies that deny and that have a page in the binary, most severe first.
    pub explained: Vec<String>,
}

impl Plan {
    /// Collects contacts only from sets whose own rule denies. An exemption must count for every set that shares the
    /// call, because a concession counts only if all of them make it.
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
            // An exemption does not cover a policy that failed.
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
    /// Whether the rule belongs to this call.
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
