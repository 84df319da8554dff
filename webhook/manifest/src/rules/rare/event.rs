//! Events.

use super::super::check::field;
use super::super::meta;
use crate::formats::names;
use crate::{At, Faults, Rule};

/// Longest reason, action and instance, and longest note, in bytes.
const SHORT: usize = 128;
const NOTE: usize = 1024;

pub(super) fn probe(group: &str, object: &At<'_>, faults: &mut Faults) {
    let new = group == "events.k8s.io";
    let form = if new { &names::DNS_SUBDOMAIN } else { &names::PATH_SEGMENT };
    meta::probe(object, form, new, faults);
    let (about, controller, note) = match new {
        true => ("regarding", "reportingController", "note"),
        false => ("involvedObject", "reportingComponent", "message"),
    };
    let own = object.path(&["metadata", "namespace"]).text();
    let place = object.at(about).at("namespace");
    let timed = object.at("eventTime").is_present();
    let other = place.text();
    let fits = match (timed, other) {
        _ if own.is_empty() => true,
        (false, "") => own == "default",
        (false, other) => own == other,
        (true, "") => own == "default" || own == "kube-system",
        (true, _) => true,
    };
    if !fits {
        let message = format!("the event is in the namespace `{own}`, but its object is not");
        faults.error(Rule::DependentFields, &place, message, format!("write `namespace: {own}`"));
    }
    if timed {
        let controller = field(object, controller);
        controller.need_form(&names::QUALIFIED_NAME, Rule::InvalidName, faults);
        for name in ["reportingInstance", "action", "reason"] {
            let text = field(object, name);
            if let Some(value) = text.need("a short text", faults) {
                text.at_most(value.len(), SHORT, "bytes", faults);
            }
        }
        let note = field(object, note);
        note.at_most(note.at.text().len(), NOTE, "bytes", faults);
    }
    if !new {
        return;
    }
    if !timed {
        field(object, "eventTime").missing("the time of the event", faults);
    }
    field(object, "type").need_one_of(&["Normal", "Warning"], faults);
    for name in ["deprecatedFirstTimestamp", "deprecatedLastTimestamp", "deprecatedCount"] {
        let old = field(object, name);
        if !old.at.is_zero() {
            old.forbid(Rule::InvalidValue, "in this version", faults);
        }
    }
    let source = object.at("deprecatedSource");
    for name in ["component", "host"] {
        if !source.at(name).is_zero() {
            field(&source, name).forbid(Rule::InvalidValue, "in this version", faults);
        }
    }
    let series = object.at("series");
    if series.is_present() {
        if series.at("count").is_absent() {
            field(&series, "count").missing("a number of at least 2", faults);
        }
        field(&series, "count").least(2, faults);
        field(&series, "lastObservedTime").need_value("the time of the last event", faults);
    }
}
