//! Warnings about files of a volume that hide each other.

use super::check::shown;
use crate::{At, Faults, Rule};

/// Maximum number of files of one volume that are compared with each other.
const FILES: usize = 64;

/// Warns about files that are in the place of another file or its folder.
pub(super) fn volumes(volumes: &At<'_>, faults: &mut Faults) {
    for volume in volumes.items() {
        for kind in ["configMap", "secret", "downwardAPI"] {
            let mut paths = Vec::new();
            for file in volume.at(kind).at("items").items() {
                compare(&file.at("path"), &mut paths, faults);
            }
        }
        let projected = volume.at("projected");
        let mut paths = Vec::new();
        for source in projected.at("sources").items() {
            if source.count() == 0 {
                let message = "a source of the projected volume is empty";
                faults.warning(Rule::ServerWarning, &source, message, "remove the source");
            }
            // Of a source with several kinds, which is an error, the first counts.
            let files = ["configMap", "secret", "downwardAPI"].map(|kind| source.at(kind).at("items"));
            if let Some(files) = files.iter().find(|files| files.is_present()) {
                for file in files.items() {
                    compare(&file.at("path"), &mut paths, faults);
                }
            } else {
                compare(&source.at("serviceAccountToken").at("path"), &mut paths, faults);
                compare(&source.at("clusterTrustBundle").at("path"), &mut paths, faults);
            }
        }
    }
}

fn compare<'a>(path: &At<'a>, paths: &mut Vec<&'a str>, faults: &mut Faults) {
    let text = path.text().trim_end_matches('/');
    if text.is_empty() {
        return;
    }
    let below = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if let Some(other) = paths.iter().find(|other| below(text, other) || below(other, text)) {
        let message = format!("the file `{}` is in the place of `{}`", shown(text), shown(other));
        faults.warning(Rule::ServerWarning, path, message, "give one of the two files another path");
    }
    if paths.len() < FILES {
        paths.push(text);
    }
}
