use crate::rules::crd_pattern::fault;

#[test]
fn patterns() {
    let valid = [
        "",
        "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "a{2}b{2,}c{1,1000}?",
        "a{,2}{x}",
        "]",
        "[]a]",
        "[^]]",
        r"[\d-z]",
        r"[\w.-]+@\w+\.\pL",
        "[[:alpha:]_]",
        "(?P<year>x)(?<month>y)(?i:z)(?i)w",
        r"\Q(*[\E*",
        r"\/\_\x41\07",
        "a*(?i)*",
    ];
    for pattern in valid {
        assert_eq!(fault(pattern), None, "{pattern}");
    }
    let invalid = [
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?>a)",
        "(?P=a)",
        "(?<>a)",
        r"(a)\1",
        r"a\Z",
        "a\\",
        r"\é",
        "(a",
        "a)",
        "[a",
        "[]",
        "[z-a]",
        "[[:foo:]]",
        "*a",
        "(+)",
        "a|?",
        "a**",
        "a+*",
        "a??+",
        "a{1001}",
        "a{2,1}",
        "a{2}{3}",
    ];
    for pattern in invalid {
        assert!(fault(pattern).is_some(), "{pattern}");
    }
}
