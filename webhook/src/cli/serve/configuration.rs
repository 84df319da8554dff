//! What `--config` names.

use std::fs;
use std::path::PathBuf;

use crate::registry::{self, ConfigError, PolicySet};
use crate::yaml;

/// The PolicySets of all files.
pub(super) struct Configuration {
    pub(super) sets: Vec<PolicySet>,
    pub(super) enforces: bool,
}

impl Configuration {
    pub(super) fn read(files: &[PathBuf]) -> Result<Self, Vec<String>> {
        // Without any set the default one counts, which enforces.
        let mut configuration = Self { sets: Vec::new(), enforces: false };
        let mut problems = Vec::new();
        for file in files {
            let name = file.display().to_string();
            let text = match fs::read_to_string(file) {
                Ok(text) => text,
                Err(error) => {
                    problems.push(format!("{name}: cannot be read: {error}"));
                    continue;
                }
            };
            match registry::read(&text, &name) {
                Ok(sets) => configuration.sets.extend(sets),
                Err(errors) => problems.extend(errors.iter().map(ConfigError::to_string)),
            }
            configuration.enforces |= enforces(&text);
        }
        configuration.enforces |= configuration.sets.is_empty();
        if problems.is_empty() { Ok(configuration) } else { Err(problems) }
    }
}

/// Whether the mode of some set is `enforce`, for the cluster or for some namespace. That a set's mode is `enforce`
/// unless it says otherwise is the registry's word; the text is known to be valid by then.
fn enforces(text: &str) -> bool {
    yaml::read(text).into_iter().flatten().any(|document| {
        let spec = &document.value()["spec"];
        let of_names = spec["namespaceModes"].as_array().into_iter().flatten();
        let modes = of_names.map(|entry| &entry["mode"]).chain([&spec["mode"]]);
        spec["mode"].is_null() || modes.into_iter().any(|mode| mode == "enforce")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        let set = |spec: &str| {
            format!("apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {{name: a}}\nspec: {spec}\n")
        };
        assert!(enforces(&set("{}")));
        assert!(enforces(&set("{mode: enforce}")));
        assert!(!enforces(&set("{mode: observe}")));
        assert!(!enforces(&set("{mode: observe, namespaceModes: [{names: [a], mode: 'off'}]}")));
        assert!(enforces(&set("{mode: observe, namespaceModes: [{names: [a], mode: enforce}]}")));
        assert!(enforces(&format!("{}---\n{}", set("{mode: 'off'}"), set("{mode: enforce}"))));
        assert!(!enforces(&format!("{}---\n", set("{mode: 'off'}"))));
    }
}
