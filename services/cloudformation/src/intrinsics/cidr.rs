//! `Fn::Cidr`: a block of addresses cut into smaller ones. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

/// `count` blocks with `bits` host bits each, from the beginning of `block`. `None`: they do not fit, or that is no block.
pub fn cut(block: &str, count: u32, bits: u32) -> Option<Vec<String>> {
    let (address, prefix) = block.split_once('/')?;
    let prefix: u32 = prefix.parse().ok()?;
    let (first, width) = match (address.parse::<Ipv4Addr>(), address.parse::<Ipv6Addr>()) {
        (Ok(v4), _) => (u128::from(u32::from(v4)), 32),
        (_, Ok(v6)) => (u128::from(v6), 128),
        _ => return None,
    };
    if prefix > width || bits == 0 || bits > width - prefix || !(1..=256).contains(&count) {
        return None;
    }
    let room = width - prefix - bits;
    if room < 32 && u64::from(count) > 1 << room {
        return None;
    }
    let host = width - prefix;
    let first = if host == 128 { 0 } else { first >> host << host };
    let at = |i: u32| {
        let start = first + (u128::from(i) << bits);
        match width {
            32 => format!("{}/{}", Ipv4Addr::from(u32::try_from(start).unwrap_or(u32::MAX)), width - bits),
            _ => format!("{}/{}", Ipv6Addr::from(start), width - bits),
        }
    };
    Some((0..count).map(at).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks() {
        let four = cut("10.0.0.0/22", 4, 8).unwrap_or_default();
        assert_eq!(four, ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"]);
        assert_eq!(cut("192.168.0.7/24", 1, 5).unwrap_or_default(), ["192.168.0.0/27"]);
        assert_eq!(cut("2001:db8::/56", 2, 64).unwrap_or_default(), ["2001:db8::/64", "2001:db8:0:1::/64"]);
        for (block, count, bits) in [("10.0.0.0/24", 2, 8), ("10.0.0.0", 1, 8), ("x/8", 1, 2), ("10.0.0.0/33", 1, 1)] {
            assert_eq!(cut(block, count, bits), None, "{block}");
        }
        assert!(cut("::/0", 256, 128).is_none() && cut("::/0", 256, 64).is_some());
    }
}
