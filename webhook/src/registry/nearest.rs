//! The known name that somebody who wrote an unknown one most likely meant.

/// Longer names are compared with none: the time grows with the product of the lengths, and no known name is as long.
const LONGEST: usize = 200;

/// The nearest of the known names by edit distance, case aside; none where nothing is near.
///
/// A name that is part of exactly one known name counts as near too: whoever writes `readiness-probe` means
/// `missing-readiness-probe`.
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
        // The first of two that are equally near, so that a message does not depend on anything but the order given.
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
