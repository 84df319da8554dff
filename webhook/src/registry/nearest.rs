//! Finds the known name that the author most likely meant by an unknown one.

/// Maximum length of a name that is compared. The time grows with the product of the lengths, and no known name is as
/// long.
const LONGEST: usize = 200;

/// The nearest known name by edit distance, ignoring case. None if no name is near.
///
/// A name that is part of exactly one known name is near, too: `readiness-probe` means `missing-readiness-probe`.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    let lower = name.to_lowercase();
    let bound = (lower.chars().count() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    let mut holds = None;
    let mut holding = 0;
    for candidate in known {
        let other = candidate.to_lowercase();
        let distance = strsim::damerau_levenshtein(&lower, &other);
        // If two names are equally near, the first one wins, so that the message is deterministic.
        if distance <= bound && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
        if lower.len() >= 4 && other.contains(&lower) {
            holding += 1;
            holds = Some(candidate);
        }
    }
    best.map(|(_, candidate)| candidate).or(holds.filter(|_| holding == 1))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_what_was_meant() {
        let known = ["policies", "policiesAsOf", "profile", "mode", "match", "missing-readiness-probe", "Deny"];
        for (name, meant) in [
            ("polices", Some("policies")),
            ("policiesasof", Some("policiesAsOf")),
            ("deny", Some("Deny")),
            ("mdoe", Some("mode")),
            ("readiness-probe", Some("missing-readiness-probe")),
            ("missing-readyness-probe", Some("missing-readiness-probe")),
            ("poli", None),
            ("something", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), meant, "{name}");
        }
    }
}
