//! Mounts and block devices of containers.

use super::check::{Seen, duplicate, field, shown};
use super::volume::{Volumes, no_backstep};
use crate::formats::paths;
use crate::{At, Faults, Rule};

/// `volumeMounts` and `volumeDevices` of a container.
pub(super) fn probe(container: &At<'_>, volumes: &Volumes<'_>, faults: &mut Faults) {
    let mounts = container.at("volumeMounts");
    let devices = container.at("volumeDevices");
    let mut paths = Seen::default();
    let mut mounted = Seen::default();
    for mount in mounts.items() {
        self::mount(container, &mount, volumes, faults);
        let path = field(&mount, "mountPath");
        if let Some(text) = path.need("an absolute path in the container", faults)
            && !paths.insert(text)
        {
            duplicate(&path.at, "the mount path", text, faults);
        }
        mounted.insert(mount.at("name").text());
    }
    let mut names = Seen::default();
    for device in devices.items() {
        let name = field(&device, "name");
        if let Some(text) = name.need("the name of a volume of the Pod", faults) {
            if !names.insert(text) {
                duplicate(&name.at, "the volume", text, faults);
            }
            match volumes.find(text) {
                None => unknown(&name.at, text, volumes, faults),
                Some(known) if !known.is_claim() => {
                    let message =
                        format!("the volume `{}` is no claim, so that it can't be a block device", shown(text));
                    faults.error(Rule::DependentFields, &name.at, message, "use a `persistentVolumeClaim` volume");
                }
                Some(_) if mounted.has(text) => {
                    let message = format!("the volume `{}` is in `volumeMounts` too", shown(text));
                    faults.error(Rule::ExclusiveFields, &name.at, message, "leave it in one of the two lists");
                }
                Some(_) => {}
            }
        }
        let path = field(&device, "devicePath");
        if let Some(text) = path.need("an absolute path in the container", faults) {
            if !paths.insert(text) {
                duplicate(&path.at, "the path", text, faults);
            }
            no_backstep(path, faults);
        }
    }
}

fn mount(container: &At<'_>, mount: &At<'_>, volumes: &Volumes<'_>, faults: &mut Faults) {
    let name = field(mount, "name");
    if let Some(text) = name.need("the name of a volume of the Pod", faults)
        && volumes.find(text).is_none()
    {
        unknown(&name.at, text, volumes, faults);
    }
    let (path, expression) = (field(mount, "subPath"), field(mount, "subPathExpr"));
    path.without_fault(Rule::InvalidFormat, paths::relative_fault, faults);
    expression.without_fault(Rule::InvalidFormat, paths::relative_fault, faults);
    if !path.at.text().is_empty() && !expression.at.text().is_empty() {
        let message = "`subPath` and `subPathExpr` are both set, but exclude each other";
        faults.error(Rule::ExclusiveFields, &expression.at, message, "remove `subPath` or `subPathExpr`");
    }
    let propagation = field(mount, "mountPropagation");
    propagation.one_of(&["None", "HostToContainer", "Bidirectional"], faults);
    if propagation.at.text() == "Bidirectional" && !container.path(&["securityContext", "privileged"]).is_true() {
        let message = "`mountPropagation` is `Bidirectional`, which only privileged containers can have";
        faults.error(Rule::DependentFields, &propagation.at, message, "write `HostToContainer`");
    }
    let recursive = field(mount, "recursiveReadOnly");
    recursive.one_of(&["Disabled", "IfPossible", "Enabled"], faults);
    if matches!(recursive.at.text(), "IfPossible" | "Enabled") {
        if !mount.at("readOnly").is_true() {
            let message = format!("`recursiveReadOnly` is `{}`, which needs `readOnly: true`", recursive.at.text());
            faults.error(Rule::DependentFields, &recursive.at, message, "write `readOnly: true`");
        }
        if propagation.at.str().is_some_and(|mode| mode != "None") {
            let message =
                format!("`recursiveReadOnly` is `{}`, which excludes `mountPropagation`", recursive.at.text());
            faults.error(Rule::ExclusiveFields, &propagation.at, message, "remove `mountPropagation`");
        }
    }
}

/// Records that no volume of the Pod has this name.
pub(super) fn unknown(at: &At<'_>, name: &str, volumes: &Volumes<'_>, faults: &mut Faults) {
    let message = format!("`{}` is not the name of a volume of the Pod", shown(name));
    let help = match volumes.nearest(name) {
        Some(near) => format!("write `{near}`, or add a volume `{}`", shown(name)),
        None => format!("add a volume `{}` to the Pod", shown(name)),
    };
    faults.error(Rule::UnknownReference, at, message, help);
}
