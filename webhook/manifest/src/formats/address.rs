//! IP addresses and ranges, as the API server reads them: old fields take leading zeros, new ones do not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address in a text, with leading zeros allowed; an IPv4 address in an IPv6 one counts as IPv4.
pub(crate) fn lenient(text: &str) -> Option<IpAddr> {
    parse(text).map(|address| address.to_canonical())
}

/// The address in a text without leading zeros that is not an IPv4 address in an IPv6 one.
pub(crate) fn strict(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    (parse(text).is_some() && address == address.to_canonical()).then_some(address)
}

/// The range in a text, with leading zeros and set bits beyond the prefix allowed.
pub(crate) fn lenient_range(text: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = text.split_once('/')?;
    let address = match v4(address) {
        Some(four) => IpAddr::V4(four),
        None => IpAddr::V6(v6(address)?),
    };
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length: u32 = length.parse().ok()?;
    (length <= width(address)).then_some((address, length))
}

/// The range in a text in the one right spelling that new fields ask for.
pub(crate) fn strict_range(text: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = lenient_range(text)?;
    let (left, right) = text.split_once('/')?;
    let exact = strict(left).is_some() && (right == "0" || !right.starts_with('0'));
    (exact && bits(address) == masked(address, length)).then_some((address, length))
}

/// Whether the inner range lies in the outer one and is smaller.
pub(crate) fn contains(outer: (IpAddr, u32), inner: (IpAddr, u32)) -> bool {
    outer.0.is_ipv4() == inner.0.is_ipv4() && outer.1 < inner.1 && masked(inner.0, outer.1) == masked(outer.0, outer.1)
}

/// Why the address can't be one of an endpoint, if it can't.
pub(crate) fn special(address: IpAddr) -> Option<&'static str> {
    if address.is_unspecified() {
        return Some("it is the unspecified address");
    }
    if address.is_loopback() {
        return Some("it is a loopback address");
    }
    let (local, multicast) = match address {
        IpAddr::V4(four) => {
            let [one, two, three, _] = four.octets();
            ((one, two) == (169, 254), (one, two, three) == (224, 0, 0))
        }
        IpAddr::V6(six) => {
            let first = six.segments()[0];
            (first & 0xffc0 == 0xfe80, first & 0xff0f == 0xff02)
        }
    };
    if local {
        return Some("it is a link-local address");
    }
    multicast.then_some("it is a link-local multicast address")
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => u128::from(four.to_bits()),
        IpAddr::V6(six) => six.to_bits(),
    }
}

fn masked(address: IpAddr, length: u32) -> u128 {
    let rest = width(address).saturating_sub(length);
    bits(address).checked_shr(rest).unwrap_or(0).checked_shl(rest).unwrap_or(0)
}

fn parse(text: &str) -> Option<IpAddr> {
    match text.find(['.', ':']).and_then(|at| text.as_bytes().get(at)) {
        Some(b'.') => v4(text).map(IpAddr::V4),
        Some(_) => v6(text).map(IpAddr::V6),
        None => None,
    }
}

fn v4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *octet = part.parse().ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

fn v6(text: &str) -> Option<Ipv6Addr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    // Leading zeros: rare enough to be rewritten.
    let mut plain = String::with_capacity(text.len());
    for (index, group) in text.split(':').enumerate() {
        if index > 0 {
            plain.push(':');
        }
        if group.contains('.') {
            plain.push_str(&v4(group)?.to_string());
        } else if group.is_empty() {
            continue;
        } else {
            let rest = group.trim_start_matches('0');
            plain.push_str(if rest.is_empty() { "0" } else { rest });
        }
    }
    plain.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in ["1.2.3.4", "::", "::1", "2001:db8::ffff", "fe80::1"] {
            assert!(lenient(text).is_some() && strict(text).is_some(), "{text}");
        }
        for text in ["01.2.3.4", "::ffff:1.2.3.4", "2001:00db8::1"] {
            assert!(lenient(text).is_some() && strict(text).is_none(), "{text}");
        }
        for text in ["", "1.2.3", "1.2.3.256", "1.2.3.4.5", "::1%eth0", "a", ":", "1::2::3", "12345::", "1.2.3.4/8"] {
            assert!(lenient(text).is_none() && strict(text).is_none(), "{text}");
        }
    }

    #[test]
    fn ranges() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "::/0", "1.2.3.4/32"] {
            assert!(lenient_range(text).is_some() && strict_range(text).is_some(), "{text}");
        }
        for text in ["10.0.0.1/8", "10.00.0.0/8", "10.0.0.0/08", "::ffff:10.0.0.0/104"] {
            assert!(lenient_range(text).is_some() && strict_range(text).is_none(), "{text}");
        }
        for text in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "/8", "10.0.0.0/-1", "10.0.0.0/+8", "::/129"] {
            assert!(lenient_range(text).is_none() && strict_range(text).is_none(), "{text}");
        }
        let range = |text| lenient_range(text).unwrap();
        assert!(contains(range("10.0.0.0/8"), range("10.1.0.0/16")));
        assert!(!contains(range("10.0.0.0/8"), range("10.0.0.0/8")));
        assert!(!contains(range("10.0.0.0/8"), range("11.0.0.0/16")));
        assert!(!contains(range("0.0.0.0/0"), range("::/8")));
    }

    #[test]
    fn special_addresses() {
        for text in ["0.0.0.0", "::", "127.0.0.1", "::1", "169.254.1.1", "fe80::1", "224.0.0.5", "ff02::1"] {
            assert!(special(lenient(text).unwrap()).is_some(), "{text}");
        }
        for text in ["10.0.0.1", "2001:db8::1", "224.0.1.1", "ff05::1"] {
            assert!(special(lenient(text).unwrap()).is_none(), "{text}");
        }
    }
}
