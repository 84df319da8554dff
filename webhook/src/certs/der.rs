//! A minimal DER parser that reads the names and the expiry of a certificate (RFC 5280, section 4.1).

use time::{Date, Month, OffsetDateTime, Time};

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Whether issuer and subject have the same name.
pub(super) fn is_self_issued(certificate: &[u8]) -> bool {
    Fields::of(certificate).is_some_and(|fields| fields.issuer == fields.subject)
}

/// The expiry of the certificate.
pub(super) fn not_after(certificate: &[u8]) -> Option<OffsetDateTime> {
    let (_, _, rest) = element(Fields::of(certificate)?.validity)?; // not before
    let (tag, text, _) = element(rest)?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year = number(year)?;
            // Two digits stand for 1950 to 2049.
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let part = |from: usize| rest.get(from..from + 2).and_then(number).and_then(|part| u8::try_from(part).ok());
    let month = Month::try_from(part(0)?).ok()?;
    let date = Date::from_calendar_date(i32::from(year), month, part(2)?).ok()?;
    Some(date.with_time(Time::from_hms(part(4)?, part(6)?, part(8)?).ok()?).assume_utc())
}

/// The last common name of the subject, which is the most specific one.
pub(super) fn common_name(certificate: &[u8]) -> Option<&str> {
    const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
    let mut rest = Fields::of(certificate)?.subject;
    let mut found = None;
    while !rest.is_empty() {
        let (_, set, after) = element(rest)?;
        let (_, attribute, _) = element(set)?;
        let (_, kind, value) = element(attribute)?;
        if kind == COMMON_NAME {
            found = std::str::from_utf8(element(value)?.1).ok();
        }
        rest = after;
    }
    found
}

/// The contents of the fields that are needed.
struct Fields<'a> {
    issuer: &'a [u8],
    validity: &'a [u8],
    subject: &'a [u8],
}

impl<'a> Fields<'a> {
    fn of(certificate: &'a [u8]) -> Option<Self> {
        const VERSION: u8 = 0xa0;
        let (tag, certificate, _) = element(certificate)?;
        let (inner, to_be_signed, _) = element(certificate)?;
        if tag != SEQUENCE || inner != SEQUENCE {
            return None;
        }
        let mut rest = to_be_signed;
        if element(rest)?.0 == VERSION {
            rest = element(rest)?.2;
        }
        let (_, _, rest) = element(rest)?; // serial number
        let (_, _, rest) = element(rest)?; // signature algorithm
        let (_, issuer, rest) = element(rest)?;
        let (_, validity, rest) = element(rest)?;
        let (_, subject, _) = element(rest)?;
        Some(Self { issuer, validity, subject })
    }
}

fn number(digits: &str) -> Option<u16> {
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Splits the first element into its tag, its content and the remaining bytes.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_names() {
        for (year, end) in [(2031, 1_925_164_800), (2049, 2_493_244_800), (2062, 2_903_472_000)] {
            let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 1, 3);
            params.distinguished_name.push(rcgen::DnType::OrganizationName, "somebody");
            params.distinguished_name.push(rcgen::DnType::CommonName, "kube-apiserver");
            let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            assert_eq!(not_after(made.der()).unwrap().unix_timestamp(), end, "{year}");
            assert_eq!(common_name(made.der()), Some("kube-apiserver"));
        }
    }

    #[test]
    fn nothing_broken_is_self_issued() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let whole: &[u8] = made.cert.der();
        assert!(is_self_issued(whole));
        for end in 0..whole.len() {
            assert!(!is_self_issued(&whole[..end]), "cut at {end}");
            assert_eq!((not_after(&whole[..end]), common_name(&whole[..end])), (None, None), "cut at {end}");
        }
        for byte in 0..=u8::MAX {
            is_self_issued(&[0x30, byte, 0x30, byte]);
        }
    }
}
