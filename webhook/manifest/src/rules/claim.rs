//! PersistentVolumeClaims, and templates of them.

use super::check::{field, item};
use super::{selector, warnings};
use crate::formats::names;
use crate::formats::quantity::Quantity;
use crate::{At, Faults, Rule};

const MODES: &[&str] = &["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];

pub(super) fn probe(object: &At<'_>, faults: &mut Faults) {
    let spec = object.at("spec");
    self::spec(&spec, false, faults);
    warnings::storage_annotations(object, &[("volume.beta.kubernetes.io/storage-class", "storageClassName")], faults);
    warnings::claim(&spec, faults);
}

/// The spec of a claim. In a template no source is removed before it is checked.
pub(super) fn spec(spec: &At<'_>, is_template: bool, faults: &mut Faults) {
    access_modes(spec, faults);
    selector::label_selector(&spec.at("selector"), faults);
    let storage = field(&spec.path(&["resources", "requests"]), "storage");
    if storage.at.is_absent() {
        storage.missing("a size such as `10Gi`", faults);
    } else if Quantity::at(&storage.at).is_some() {
        storage.positive(faults);
    }
    field(spec, "storageClassName").form_or_empty(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
    field(spec, "volumeMode").one_of(&["Block", "Filesystem"], faults);
    sources(spec, is_template, faults);
    // Before 1.34 the field was removed.
    if faults.since(34) {
        field(spec, "volumeAttributesClassName").form_or_empty(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
    }
}

/// Access modes of a claim or volume.
pub(super) fn access_modes(spec: &At<'_>, faults: &mut Faults) {
    let modes = field(spec, "accessModes");
    if modes.at.count() == 0 {
        modes.missing("a list of at least one mode, such as `ReadWriteOnce`", faults);
    }
    let (mut once, mut other) = (false, false);
    for mode in modes.at.items() {
        item(&mode, "accessModes").need_one_of(MODES, faults);
        match mode.text() {
            "ReadWriteOncePod" => once = true,
            text => other |= MODES.contains(&text),
        }
    }
    if once && other {
        let message = "`ReadWriteOncePod` excludes other access modes";
        faults.error(Rule::ExclusiveFields, &modes.at, message, "leave `ReadWriteOncePod` alone, or remove it");
    }
}

fn sources(spec: &At<'_>, is_template: bool, faults: &mut Faults) {
    let (old, new) = (spec.at("dataSource"), spec.at("dataSourceRef"));
    let own = |source: &At<'_>| {
        let (group, kind) = (source.at("apiGroup").text(), source.at("kind").text());
        (group.is_empty() && kind == "PersistentVolumeClaim")
            || (group == "snapshot.storage.k8s.io" && kind == "VolumeSnapshot")
    };
    // A reference into another namespace is removed, and so is an old reference to an unknown kind.
    let crossing = !new.at("namespace").text().is_empty();
    if old.is_present() && (is_template || (new.is_present() && !crossing) || own(&old)) {
        source(&old, faults);
    }
    if crossing {
        if is_template {
            source(&new, faults);
            field(&new, "namespace").form(&names::DNS_LABEL, Rule::InvalidName, faults);
        }
        return;
    }
    if new.is_present() {
        source(&new, faults);
    }
    if old.is_present() && new.is_present() {
        let same = ["apiGroup", "kind", "name"].iter().all(|name| {
            let (one, two) = (old.at(name), new.at(name));
            one.text() == two.text() && (*name != "apiGroup" || one.is_present() == two.is_present())
        });
        if !same {
            let message = "`dataSource` and `dataSourceRef` are both set, but differ";
            faults.error(Rule::DependentFields, &old, message, "remove `dataSource`");
        }
    }
}

fn source(source: &At<'_>, faults: &mut Faults) {
    field(source, "name").need("the name of the object", faults);
    let kind = field(source, "kind");
    let group = field(source, "apiGroup");
    if kind.need("the kind of the object", faults).is_some() && group.at.text().is_empty() {
        kind.one_of(&["PersistentVolumeClaim"], faults);
    }
    group.form_or_empty(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
}
