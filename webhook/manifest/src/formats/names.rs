//! Names, keys and label values.

use super::Form;

pub(crate) static DNS_LABEL: Form = Form {
    what: "DNS label",
    allowed: "at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends",
    example: "my-name",
    holds: is_dns_label,
};

pub(crate) static DNS_1035_LABEL: Form = Form {
    what: "DNS label that begins with a letter",
    allowed: "at most 63 lower-case letters, digits and `-`, with a letter at the start and a letter or digit at the end",
    example: "my-name",
    holds: is_dns_1035_label,
};

pub(crate) static DNS_SUBDOMAIN: Form = Form {
    what: "DNS subdomain",
    allowed: "at most 253 lower-case letters, digits, `-` and `.`, with a letter or digit at both ends of every part",
    example: "my-name.example.com",
    holds: is_dns_subdomain,
};

pub(crate) static DNS_SUBDOMAIN_UNDERSCORE: Form = Form {
    what: "DNS search domain",
    allowed: "at most 253 lower-case letters, digits, `-`, `_` and `.`",
    example: "svc.cluster.local",
    holds: |text| text.len() <= 253 && text.split('.').all(is_underscore_part),
};

pub(crate) static WILDCARD_SUBDOMAIN: Form = Form {
    what: "wildcard domain",
    allowed: "`*.` and a DNS subdomain, at most 253 characters",
    example: "*.example.com",
    holds: |text| text.len() <= 253 && text.strip_prefix("*.").is_some_and(is_dns_subdomain),
};

pub(crate) static PATH_SEGMENT: Form = Form {
    what: "name in a URL path",
    allowed: "any text without `/` and `%` that is not `.` or `..`",
    example: "system:my-name",
    holds: |text| text != "." && text != ".." && !text.contains(['/', '%']),
};

pub(crate) static PORT_NAME: Form = Form {
    what: "port name",
    allowed: "at most 15 lower-case letters, digits and single `-`, at least one letter, no `-` at the ends",
    example: "http-metrics",
    holds: is_port_name,
};

pub(crate) static QUALIFIED_NAME: Form = Form {
    what: "qualified name",
    allowed: "at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, and optionally a \
              DNS subdomain and `/` before",
    example: "example.com/my-name",
    holds: is_qualified_name,
};

pub(crate) static QUALIFIED_NAME_ANY_CASE: Form =
    Form { holds: |text| is_qualified(text, subdomain_any_case), ..Form { ..copy(&QUALIFIED_NAME) } };

pub(crate) static LABEL_VALUE: Form = Form {
    what: "label value",
    allowed: "empty, or at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends",
    example: "my-value",
    holds: |text| text.is_empty() || is_name_part(text),
};

pub(crate) static ENV_NAME: Form = Form {
    what: "name of an environment variable",
    allowed: "printable ASCII characters other than `=`",
    example: "MY_NAME",
    holds: |text| !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'='),
};

pub(crate) static CONFIG_KEY: Form = Form {
    what: "key",
    allowed: "at most 253 letters, digits, `-`, `_` and `.`, not `.`, and no `..` at the start",
    example: "my-key.yaml",
    holds: is_config_key,
};

pub(crate) static HTTP_HEADER: Form = Form {
    what: "name of an HTTP header",
    allowed: "letters, digits and `-`",
    example: "X-My-Header",
    holds: |text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
};

pub(crate) static PERCENT: Form = Form {
    what: "percentage",
    allowed: "digits and `%`",
    example: "25%",
    holds: |text| {
        text.strip_suffix('%')
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    },
};

pub(crate) static DOMAIN_PATH: Form = Form {
    what: "domain-prefixed path",
    allowed: "a DNS subdomain, `/`, and a URL path",
    example: "example.com/my-name",
    holds: is_domain_path,
};

pub(crate) static FULLY_QUALIFIED: Form = Form {
    what: "fully qualified name",
    allowed: "a DNS subdomain of at least three parts",
    example: "my-name.example.com",
    holds: |text| is_dns_subdomain(text) && text.split('.').count() >= 3,
};

pub(crate) static DOMAIN_NAME: Form = Form {
    what: "domain name",
    allowed: "at least two DNS labels, separated by `.`",
    example: "my-name.example.com",
    holds: |text| {
        let text = text.strip_suffix('.').unwrap_or(text);
        is_dns_subdomain(text) && text.contains('.') && text.split('.').all(is_dns_label)
    },
};

pub(crate) static SYSCTL: Form = Form {
    what: "name of a sysctl",
    allowed: "at most 253 lower-case letters, digits, `-` and `_`, in parts that are separated by `.` or `/`",
    example: "net.core.somaxconn",
    holds: |text| text.len() <= 253 && text.split(['.', '/']).all(is_sysctl_part),
};

pub(crate) static SIGNER: Form = Form {
    what: "name of a signer",
    allowed: "a domain of at least two parts, `/`, and a path of lower-case letters, digits, `-` and `.`",
    example: "example.com/my-signer",
    holds: is_signer,
};

pub(crate) static DRIVER: Form = Form {
    what: "name of a CSI driver",
    allowed: "a DNS subdomain of at most 63 characters",
    example: "csi.example.com",
    holds: |text| text.len() <= 63 && subdomain_any_case(text),
};

pub(crate) static KIND: Form = Form {
    what: "kind",
    allowed: "at most 63 letters, digits and `-`, with a letter at the start and a letter or digit at the end",
    example: "MyKind",
    holds: |text| {
        text.len() <= 63 && text.is_ascii() && {
            let bytes = text.as_bytes();
            bytes.first().is_some_and(u8::is_ascii_alphabetic)
                && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
                && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        }
    },
};

const fn copy(form: &Form) -> Form {
    Form { what: form.what, allowed: form.allowed, example: form.example, holds: form.holds }
}

pub(crate) fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && is_dns_part(text)
}

pub(crate) fn is_dns_1035_label(text: &str) -> bool {
    is_dns_label(text) && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
}

pub(crate) fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_part)
}

pub(crate) fn is_qualified_name(text: &str) -> bool {
    is_qualified(text, is_dns_subdomain)
}

pub(crate) fn is_config_key(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text != "."
        && !text.starts_with("..")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_dns_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(is_lower)
        && bytes.last().copied().is_some_and(is_lower)
        && bytes.iter().all(|&byte| is_lower(byte) || byte == b'-')
}

fn is_sysctl_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(is_lower)
        && bytes.last().copied().is_some_and(is_lower)
        && bytes.iter().all(|&byte| is_lower(byte) || matches!(byte, b'-' | b'_'))
}

fn is_underscore_part(text: &str) -> bool {
    is_sysctl_part(text.strip_prefix('_').unwrap_or(text))
}

fn is_name_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.len() <= 63
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_qualified(text: &str, prefix_holds: impl Fn(&str) -> bool) -> bool {
    match text.split_once('/') {
        None => is_name_part(text),
        Some((prefix, name)) => prefix_holds(prefix) && is_name_part(name),
    }
}

/// Whether the text is a DNS subdomain after it was put into lower case.
fn subdomain_any_case(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|part| {
            let bytes = part.as_bytes();
            bytes.first().is_some_and(u8::is_ascii_alphanumeric)
                && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
                && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        })
}

fn is_port_name(text: &str) -> bool {
    text.len() <= 15
        && text.bytes().all(|byte| is_lower(byte) || byte == b'-')
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
        && !text.contains("--")
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_domain_path(text: &str) -> bool {
    text.split_once('/').is_some_and(|(host, path)| {
        is_dns_subdomain(host)
            && !path.is_empty()
            && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte))
    })
}

fn is_signer(text: &str) -> bool {
    let Some((domain, path)) = text.split_once('/') else {
        return false;
    };
    text.len() <= 571
        && domain.len() <= 253
        && domain.contains('.')
        && domain.split('.').all(is_dns_label)
        && !path.contains('/')
        && path.split('.').all(is_dns_subdomain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::table;

    #[test]
    fn names_of_objects() {
        let long = "a".repeat(64);
        table(&DNS_LABEL, &["a", "0", "a-b"], &["", "-a", "a-", "A", "a.b", "a_b", &long]);
        table(&DNS_1035_LABEL, &["a", "a-0"], &["0a", "", "a."]);
        table(&DNS_SUBDOMAIN, &["a.b", "0.0", &long], &["", ".a", "a..b", "a.-b", "A.b", &"a.".repeat(127)]);
        table(&DNS_SUBDOMAIN_UNDERSCORE, &["_tcp.a", "a_b"], &["__a", "a_", ""]);
        table(&WILDCARD_SUBDOMAIN, &["*.a"], &["*", "*.", "a.*.b", "*a.b"]);
        table(&PATH_SEGMENT, &["", "a b", "system:x"], &[".", "..", "a/b", "50%"]);
        table(&FULLY_QUALIFIED, &["a.b.c"], &["a.b", "a.b.C"]);
        table(&DOMAIN_NAME, &["a.b.", "a.b"], &["a", "a.", &format!("a.{long}")]);
        table(&KIND, &["A", "Ab-1"], &["1a", "a-", "Ä", ""]);
        table(&DRIVER, &["CSI.a"], &["a_b", &long]);
    }

    #[test]
    fn keys_and_values() {
        table(&QUALIFIED_NAME, &["a", "A.b_c", "a.b/C"], &["", "/a", "a/", "A.b/c", "a/b/c", "-a", "a b"]);
        table(&QUALIFIED_NAME_ANY_CASE, &["A.b/c"], &["/a", "a/b/c"]);
        table(&LABEL_VALUE, &["", "1.2", "A_b"], &["a b", "-", "a/b", &"a".repeat(64)]);
        table(&ENV_NAME, &["1", "a b", "a-b"], &["", "a=b", "ä", "a\n"]);
        table(&CONFIG_KEY, &["a", ".a", "-"], &["", ".", "..", "..a", "a/b", "a b"]);
        table(&HTTP_HEADER, &["Host"], &["", "a b", "a_b"]);
        table(&PORT_NAME, &["a", "1a"], &["", "1", "a--b", "-a", "A", "abcdefghijklmnop"]);
        table(&PERCENT, &["0%", "250%"], &["%", "1", "-1%", "1.5%"]);
        table(&DOMAIN_PATH, &["a/b/c"], &["a", "/a", "a/", "a/ b"]);
        table(&SYSCTL, &["a/b", "kernel.shm_rmid_forced"], &["", "a..b", "A", "a."]);
        table(&SIGNER, &["a.b/c"], &["a/b", "a.b", "a.b/c/d", "a.b/C"]);
    }
}
