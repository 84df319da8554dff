//! CustomResourceDefinitions: names, versions, conversion.

use super::check::{Seen, duplicate, field, item, shown};
use super::{admission, crd_schema, crd_values};
use crate::formats::names;
use crate::{At, Faults, Rule};

const APPROVED: &str = "api-approved.kubernetes.io";

pub(super) fn probe(object: &At<'_>, faults: &mut Faults) {
    let spec = object.at("spec");
    let group = field(&spec, "group");
    if group.need_form(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults).is_some_and(|text| !text.contains('.')) {
        let message = "`group` must be a domain of at least two parts";
        faults.error(Rule::InvalidName, &group.at, message, "write a domain such as `example.com`");
    }
    field(&spec, "scope").need_one_of(&["Cluster", "Namespaced"], faults);
    own_names(object, &spec, faults);
    approval(object, group.at.text(), faults);
    if spec.at("preserveUnknownFields").is_true() {
        let why = "to true: write `x-kubernetes-preserve-unknown-fields` in the schema";
        field(&spec, "preserveUnknownFields").forbid(Rule::InvalidValue, why, faults);
    }
    versions(&spec, faults);
    conversion(&spec.at("conversion"), faults);
}

fn own_names(object: &At<'_>, spec: &At<'_>, faults: &mut Faults) {
    let own = spec.at("names");
    let plural = field(&own, "plural").need_form(&names::DNS_1035_LABEL, Rule::InvalidName, faults);
    field(&own, "singular").form_or_empty(&names::DNS_1035_LABEL, Rule::InvalidName, faults);
    let kind = field(&own, "kind").need_form(&names::KIND, Rule::InvalidName, faults);
    let list = field(&own, "listKind");
    list.form_or_empty(&names::KIND, Rule::InvalidName, faults);
    if kind.is_some_and(|kind| kind == list.at.text()) {
        let message = "`kind` and `listKind` are equal";
        faults.error(Rule::ExclusiveFields, &list.at, message, "remove `listKind`");
    }
    for name in ["shortNames", "categories"] {
        for value in own.at(name).items() {
            if value.text().is_empty() {
                item(&value, name).missing("a name", faults);
            }
            item(&value, name).form_or_empty(&names::DNS_1035_LABEL, Rule::InvalidName, faults);
        }
    }
    let (Some(plural), group) = (plural, spec.at("group").text()) else {
        return;
    };
    for name in ["name", "generateName"] {
        let name = object.at("metadata").at(name);
        if !group.is_empty() && !name.text().is_empty() && name.text() != format!("{plural}.{group}") {
            let message = format!("`{}` must be the plural and the group: `{plural}.{group}`", shown(name.text()));
            faults.error(Rule::InvalidName, &name, message, format!("write `{plural}.{group}`"));
        }
    }
}

/// Groups of Kubernetes itself need a note that the API was approved.
fn approval(object: &At<'_>, group: &str, faults: &mut Faults) {
    let own = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|own| group.strip_suffix(own).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
    if !own {
        return;
    }
    let annotations = object.at("metadata").at("annotations");
    let note = annotations.entry(APPROVED);
    let text = note.map(|note| note.text()).unwrap_or_default();
    let host =
        text.split_once("://").map(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty() && !rest.starts_with('/'));
    if !text.starts_with("unapproved") && host != Some(true) {
        let message = format!(
            "a group of Kubernetes needs the annotation `{APPROVED}` with a URL, or with `unapproved` and a reason"
        );
        faults.error(
            Rule::MissingField,
            &note.unwrap_or(annotations),
            message,
            "use another group, or write the annotation",
        );
    }
}

fn versions(spec: &At<'_>, faults: &mut Faults) {
    let versions = field(spec, "versions");
    let mut seen = Seen::default();
    let mut stored = 0;
    for version in versions.at.items() {
        let name = field(&version, "name");
        if let Some(text) = name.need_form(&names::DNS_1035_LABEL, Rule::InvalidName, faults)
            && !seen.insert(text)
        {
            duplicate(&name.at, "the version", text, faults);
        }
        stored += usize::from(version.at("storage").is_true());
        deprecation(&version, faults);
        let subresources = version.at("subresources");
        scale(&subresources.at("scale"), faults);
        let schema = field(&version.at("schema"), "openAPIV3Schema");
        if let Some(schema) = schema.need_value("a schema with `type: object`", faults) {
            crd_schema::root(&schema, subresources.at("status").is_present(), faults);
            crd_values::selectable(&version, &schema, faults);
        }
        columns(&version, faults);
    }
    crd_values::same_fields(&versions.at, faults);
    if stored != 1 {
        let message = format!("{stored} versions have `storage: true`, but exactly one must");
        faults.error(Rule::DependentFields, &versions.at, message, "write `storage: true` in one version");
    }
}

fn deprecation(version: &At<'_>, faults: &mut Faults) {
    let warning = field(version, "deprecationWarning");
    let Some(text) = warning.at.str() else {
        return;
    };
    if !version.at("deprecated").is_true() {
        warning.forbid(Rule::DependentFields, "without `deprecated: true`", faults);
    }
    if text.is_empty() {
        warning.missing("a text, or no field at all", faults);
    }
    warning.at_most(text.len(), 256, "characters", faults);
    let fault =
        |text: &str| text.contains(|letter: char| letter.is_control()).then_some("it must not have control characters");
    warning.without_fault(Rule::InvalidFormat, fault, faults);
}

fn scale(scale: &At<'_>, faults: &mut Faults) {
    if scale.is_absent() {
        return;
    }
    let below = |path: &str, starts: &[&str]| starts.iter().any(|start| path.starts_with(start));
    for (name, start) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")] {
        let path = field(scale, name);
        path.need(&format!("a path that begins with `{start}`"), faults);
        let fault = |path: &str| {
            (!path.is_empty() && !below(path, &[start])).then_some("it must be below `.spec` or `.status`")
        };
        path.without_fault(Rule::InvalidFormat, fault, faults);
    }
    let fault = |path: &str| {
        (!path.is_empty() && !below(path, &[".spec.", ".status."])).then_some("it must be below `.spec` or `.status`")
    };
    field(scale, "labelSelectorPath").without_fault(Rule::InvalidFormat, fault, faults);
}

fn columns(version: &At<'_>, faults: &mut Faults) {
    const TYPES: &[&str] = &["integer", "number", "string", "boolean", "date"];
    const FORMATS: &[&str] = &["int32", "int64", "float", "double", "byte", "date", "date-time", "password"];
    for column in version.at("additionalPrinterColumns").items() {
        field(&column, "name").need("the name of the column", faults);
        field(&column, "type").need_one_of(TYPES, faults);
        field(&column, "format").one_of_or_empty(FORMATS, faults);
        let path = field(&column, "jsonPath");
        path.need("a path such as `.spec.replicas`", faults);
        let fault = |path: &str| (!path.is_empty() && !path.starts_with('.')).then_some("it must begin with `.`");
        path.without_fault(Rule::InvalidFormat, fault, faults);
    }
}

fn conversion(conversion: &At<'_>, faults: &mut Faults) {
    if conversion.is_absent() {
        return;
    }
    let strategy = field(conversion, "strategy").need_one_of(&["None", "Webhook"], faults);
    let webhook = field(conversion, "webhook");
    if strategy != "Webhook" {
        let used = webhook.at.at("clientConfig").is_present() || webhook.at.at("conversionReviewVersions").count() > 0;
        if used {
            webhook.forbid(Rule::ExclusiveFields, "unless `strategy` is `Webhook`", faults);
        }
        return;
    }
    if let Some(webhook) = webhook.need_value("how the webhook is called", faults) {
        let client = field(&webhook, "clientConfig");
        match client.at.is_absent() {
            true => client.missing("how the webhook is called", faults),
            false => admission::client(client, faults),
        }
        admission::versions(field(&webhook, "conversionReviewVersions"), faults);
    }
}
