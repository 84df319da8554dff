//! How the words of a bundle's metadata are spelled. `#[policy]` asks when a policy is compiled, and the host when it loads a
//! bundle: so both refuse the same.

use super::Stage;

/// The categories by which PolicySets set actions.
pub const CATEGORIES: [&str; 12] = [
    "probes",
    "resources",
    "security",
    "availability",
    "autoscaling",
    "rollout",
    "service",
    "image",
    "network",
    "stateful",
    "manifest",
    "swarm",
];

/// Stands for the pointer of the pod template at the beginning of a pointer.
const TEMPLATE: &[u8] = b"{template}";

/// The category of a policy that states none: the folder of its module, `crate::category::policy`.
///
/// # Panics
/// If the folder is no category. `#[policy]` calls this when the crate is compiled, so that it does not compile then.
pub const fn category_of_module(path: &'static str) -> &'static str {
    let bytes = path.as_bytes();
    let mut end = None;
    let mut index = bytes.len();
    while index > 1 {
        index -= 1;
        if bytes[index] != b':' || bytes[index - 1] != b':' {
            continue;
        }
        if let Some(end) = end {
            let (before, _) = bytes.split_at(end);
            let (_, folder) = before.split_at(index + 1);
            let mut number = 0;
            while number < CATEGORIES.len() {
                if is_same(CATEGORIES[number].as_bytes(), folder) {
                    return CATEGORIES[number];
                }
                number += 1;
            }
            break;
        }
        index -= 1;
        end = Some(index);
    }
    panic!(
        "a policy lies in the folder of its category, as in src/security/host_network.rs with `security::host_network` in \
         bundle!; or it states `category = \"security\"`. Categories are probes, resources, security, availability, \
         autoscaling, rollout, service, image, network, stateful, manifest and swarm"
    )
}

/// Whether a policy may state this category: one of [`CATEGORIES`], or a word of its own that is no misspelling of one.
pub const fn is_category(word: &str) -> bool {
    let mut number = 0;
    while number < CATEGORIES.len() {
        let known = CATEGORIES[number].as_bytes();
        if is_same(known, word.as_bytes()) {
            return true;
        }
        if is_one_edit_away(known, word.as_bytes()) {
            return false;
        }
        number += 1;
    }
    is_kebab_case(word.as_bytes())
}

/// Whether this is `group/Kind`: `/Service` of the core group, `apps/Deployment` of another.
pub const fn is_group_kind(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut slash = 0;
    while slash < bytes.len() && bytes[slash] != b'/' {
        if !matches!(bytes[slash], b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.') {
            return false;
        }
        slash += 1;
    }
    let mut index = slash + 1;
    if index >= bytes.len() || !bytes[index].is_ascii_uppercase() {
        return false;
    }
    while index < bytes.len() {
        if !bytes[index].is_ascii_alphanumeric() {
            return false;
        }
        index += 1;
    }
    true
}

/// Whether this is a version such as `0.1.0`, or `1.2.0-rc.1`.
pub const fn is_version(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (mut index, mut number) = (0, 0);
    while number < 3 {
        let start = index;
        while index < bytes.len() && bytes[index].is_ascii_digit() {
            index += 1;
        }
        let has_leading_zero = index > start + 1 && bytes[start] == b'0';
        if index == start || has_leading_zero {
            return false;
        }
        number += 1;
        if number < 3 {
            if index >= bytes.len() || bytes[index] != b'.' {
                return false;
            }
            index += 1;
        }
    }
    if index == bytes.len() {
        return true;
    }
    let (_, rest) = bytes.split_at(index + 1);
    bytes[index] == b'-' && !rest.is_empty() && is_made_of_words(rest, b'.')
}

/// Whether a policy may declare that it edits this: a pointer, and not to what an object is, its status, or its metadata but
/// for single labels and annotations. Only policies that run over files alone may correct an `apiVersion` or a `kind`.
pub const fn is_edit(pattern: &str, stage: Stage) -> bool {
    let below = below_template(pattern.as_bytes());
    if !is_place(below) {
        return false;
    }
    let (Some(first), second, third) = (segment(below, 0), segment(below, 1), segment(below, 2)) else { return false };
    if is_same(first, b"apiVersion") || is_same(first, b"kind") {
        return second.is_none() && matches!(stage, Stage::Source);
    }
    if is_same(first, b"metadata") {
        return match (second, third) {
            (Some(second), Some(third)) => {
                (is_same(second, b"labels") || is_same(second, b"annotations")) && !is_same(third, b"*")
            }
            _ => false,
        };
    }
    !is_same(first, b"*") && !is_same(first, b"status")
}

/// Whether a policy may declare that it reads this of other objects: a pointer below an object, in which `{template}` may stand
/// for the first part and `*` for each item.
pub const fn is_read(pointer: &str) -> bool {
    is_place(below_template(pointer.as_bytes()))
}

const fn below_template(pattern: &[u8]) -> &[u8] {
    if pattern.len() >= TEMPLATE.len() {
        let (start, rest) = pattern.split_at(TEMPLATE.len());
        if is_same(start, TEMPLATE) {
            return rest;
        }
    }
    pattern
}

/// Whether this is an RFC 6901 pointer that names a member, and no empty one.
const fn is_place(pointer: &[u8]) -> bool {
    if pointer.is_empty() || pointer[0] != b'/' {
        return false;
    }
    let mut index = 0;
    while index < pointer.len() {
        let next = if index + 1 < pointer.len() { Some(pointer[index + 1]) } else { None };
        let is_well_formed = match pointer[index] {
            b'/' => !matches!(next, None | Some(b'/')),
            b'~' => matches!(next, Some(b'0' | b'1')),
            _ => true,
        };
        if !is_well_formed {
            return false;
        }
        index += 1;
    }
    true
}

/// The segment of this number, from 0.
const fn segment(pointer: &[u8], number: usize) -> Option<&[u8]> {
    let (mut index, mut left) = (0, number);
    while index < pointer.len() {
        if pointer[index] == b'/' {
            if left == 0 {
                let (_, rest) = pointer.split_at(index + 1);
                let mut end = 0;
                while end < rest.len() && rest[end] != b'/' {
                    end += 1;
                }
                return Some(rest.split_at(end).0);
            }
            left -= 1;
        }
        index += 1;
    }
    None
}

const fn is_kebab_case(word: &[u8]) -> bool {
    let mut index = 0;
    while index < word.len() {
        if word[index].is_ascii_uppercase() {
            return false;
        }
        index += 1;
    }
    !word.is_empty() && word[0].is_ascii_lowercase() && is_made_of_words(word, b'-')
}

/// Letters and digits, in words that are not empty.
const fn is_made_of_words(text: &[u8], separator: u8) -> bool {
    let (mut index, mut is_in_word) = (0, false);
    while index < text.len() {
        if text[index] == separator {
            if !is_in_word {
                return false;
            }
            is_in_word = false;
        } else if text[index].is_ascii_alphanumeric() {
            is_in_word = true;
        } else {
            return false;
        }
        index += 1;
    }
    is_in_word
}

pub(crate) const fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && common(one, other, false) == one.len()
}

/// How many bytes are the same, from the beginning or from the end.
const fn common(one: &[u8], other: &[u8], from_end: bool) -> usize {
    let mut count = 0;
    while count < one.len() && count < other.len() {
        let (at, other_at) = if from_end { (one.len() - 1 - count, other.len() - 1 - count) } else { (count, count) };
        if one[at] != other[other_at] {
            break;
        }
        count += 1;
    }
    count
}

/// Whether one letter is missing, too many or another one, or two neighbours are exchanged.
const fn is_one_edit_away(one: &[u8], other: &[u8]) -> bool {
    let (longer, shorter) = if one.len() >= other.len() { (one, other) } else { (other, one) };
    let (start, end) = (common(longer, shorter, false), common(longer, shorter, true));
    match longer.len() - shorter.len() {
        0 => {
            let differ = longer.len().saturating_sub(start + end);
            differ == 1 || differ == 2 && longer[start] == shorter[start + 1] && longer[start + 1] == shorter[start]
        }
        1 => start + end >= shorter.len(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories() {
        assert_eq!(category_of_module("acme_policies::security::host_network"), "security");
        assert_eq!(category_of_module("acme::deep::probes::identical_probes"), "probes");
        for word in ["security", "house-rules", "acme", "cost2"] {
            assert!(is_category(word), "{word}");
        }
        for word in ["", "securty", "secruity", "securityy", "Security", "probe", "house rules", "-x", "x-", "imagé"] {
            assert!(!is_category(word), "{word}");
        }
    }

    #[test]
    #[should_panic(expected = "src/security/host_network.rs")]
    fn a_policy_outside_of_a_category() {
        category_of_module("acme_policies::host_network");
    }

    #[test]
    #[should_panic(expected = "src/security/host_network.rs")]
    fn a_policy_in_a_folder_that_is_no_category() {
        category_of_module("acme_policies::securty::host_network");
    }

    #[test]
    fn kinds() {
        for kind in ["/Service", "apps/Deployment", "rbac.authorization.k8s.io/ClusterRole"] {
            assert!(is_group_kind(kind), "{kind}");
        }
        for kind in ["", "*", "/", "Service", "/service", "apps/v1/Deployment", "apps/", "Apps/Deployment", "/Pod "] {
            assert!(!is_group_kind(kind), "{kind}");
        }
    }

    #[test]
    fn versions() {
        for version in ["0.1.0", "12.0.345", "1.2.0-rc.1"] {
            assert!(is_version(version), "{version}");
        }
        for version in ["", "1", "0.1", "v0.1.0", "0.1.0.0", "01.0.0", "0.1.x", "1.2.0-", "1.2.0-rc..1", "1.2.0+1"] {
            assert!(!is_version(version), "{version}");
        }
    }

    #[test]
    fn edits_and_reads() {
        let edits = ["/spec/replicas", "{template}/spec/containers/*/env/*", "/metadata/labels/app", "/data/a~1b"];
        assert!(edits.iter().all(|edit| is_edit(edit, Stage::Both) && is_read(edit)));
        assert!(is_edit("/apiVersion", Stage::Source) && !is_edit("/apiVersion", Stage::Both));
        assert!(!is_edit("/kind/x", Stage::Source));
        for edit in
            ["", "/", "{template}", "spec/replicas", "{template}spec", "/spec//x", "/spec/", "/spec/a~2b", "/spec/a~"]
        {
            assert!(!is_edit(edit, Stage::Both) && !is_read(edit), "{edit}");
        }
        for edit in ["/*", "/status/x", "/metadata", "/metadata/name", "/metadata/labels", "/metadata/annotations/*"] {
            assert!(!is_edit(edit, Stage::Both), "{edit}");
        }
    }
}
