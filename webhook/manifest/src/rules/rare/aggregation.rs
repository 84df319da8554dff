//! API servers behind the API server.

use super::super::check::{field, shown};
use super::super::meta;
use crate::formats::names;
use crate::{At, Faults, Rule};

pub(super) fn probe(object: &At<'_>, faults: &mut Faults) {
    meta::probe(object, &names::PATH_SEGMENT, false, faults);
    let spec = object.at("spec");
    let (group, version) = (field(&spec, "group"), field(&spec, "version"));
    let names_of = ["name", "generateName"].map(|name| object.at("metadata").at(name));
    let required = format!("{}.{}", version.at.text(), group.at.text());
    for name in names_of.iter().filter(|name| !name.text().is_empty() && name.text() != required) {
        let message = format!("`{}` is not the version and group of the spec", shown(name.text()));
        faults.error(Rule::InvalidName, name, message, format!("write `name: {required}`"));
    }
    if group.at.text().is_empty() && version.at.text() != "v1" {
        group.missing("the group of the API", faults);
    }
    group.form_or_empty(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
    version.need_form(&names::DNS_1035_LABEL, Rule::InvalidName, faults);
    for (priority, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let priority = field(&spec, priority);
        if priority.at.is_absent() {
            priority.missing(&format!("a number from 1 to {most}"), faults);
        }
        priority.range(1, most, faults);
    }
    let service = spec.at("service");
    let has_bundle = !spec.at("caBundle").is_zero();
    let skips = spec.at("insecureSkipTLSVerify").is_true();
    if service.is_absent() {
        if has_bundle {
            field(&spec, "caBundle").forbid(Rule::DependentFields, "without `service`", faults);
        }
        if skips {
            field(&spec, "insecureSkipTLSVerify").forbid(Rule::DependentFields, "without `service`", faults);
        }
        return;
    }
    field(&service, "namespace").need("the namespace of the Service", faults);
    field(&service, "name").need("the name of the Service", faults);
    field(&service, "port").port(faults);
    if skips && has_bundle {
        field(&spec, "insecureSkipTLSVerify").forbid(Rule::ExclusiveFields, "beside `caBundle`", faults);
    }
}
