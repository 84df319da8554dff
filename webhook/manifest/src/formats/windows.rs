//! Names of Windows users: `USER` or `DOMAIN\USER`.

/// What is wrong with the name, if something is.
pub(crate) fn user_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it must not be empty");
    }
    if name.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Some("it must not have control characters");
    }
    let (domain, user) = match name.split_once('\\') {
        Some((domain, user)) => (Some(domain), user),
        None => (None, name),
    };
    if user.contains('\\') {
        return Some("it must not have more than one `\\`");
    }
    if domain.is_some_and(|domain| domain.len() >= 256 || !(is_netbios(domain) || is_domain(domain))) {
        return Some("its domain must be a NetBIOS name or a DNS name of less than 256 characters");
    }
    if user.is_empty() || user.len() > 104 {
        return Some("its user must have 1 to 104 characters");
    }
    if user.chars().all(|letter| matches!(letter, '.' | ' ')) {
        return Some("its user must not have only `.` and spaces");
    }
    user.contains(['"', '/', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']'])
        .then_some("its user must not have one of `\" / : ; | = , + * ? < > @ [ ]`")
}

fn is_netbios(domain: &str) -> bool {
    (1..=15).contains(&domain.chars().count())
        && !domain.starts_with('.')
        && !domain.contains(['/', ':', '*', '?', '"', '<', '>', '|'])
}

fn is_domain(domain: &str) -> bool {
    domain.split('.').all(|label| {
        let bytes = label.as_bytes();
        label.len() <= 63
            && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::user_fault;

    #[test]
    fn users() {
        for name in ["Administrator", "NT AUTHORITY\\SYSTEM", "a.example.com\\b", "ContainerUser"] {
            assert_eq!(user_fault(name), None, "{name}");
        }
        for name in ["", "a\\b\\c", "a\\", "..", "a@b", "a\tb", ".a\\b", "a*\\b"] {
            assert!(user_fault(name).is_some(), "{name}");
        }
    }
}
