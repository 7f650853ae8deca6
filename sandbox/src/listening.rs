//! Whether a function listens on something that two of its instances could not both listen on if they shared a network: then
//! each clone gets one of its own. Looked up in the kernel, in the network of an instance that has answered.

use std::fs;

/// The kernel chooses ports from here on where a program names none (`ip_local_port_range`).
const CHOSEN_PORTS_MIN: u16 = 32_768;
const LISTEN: &str = "0A";

/// `ours`: ports on which the platform listens there.
pub(crate) fn is_listening(pid: i32, ours: &[u16]) -> bool {
    let table = |name: &str| fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default();
    ["tcp", "tcp6"].iter().any(|name| table(name).lines().any(|line| is_of_a_server(line, ours)))
        || ["udp", "udp6"].iter().any(|name| table(name).lines().any(is_named))
        || table("unix").lines().any(is_abstract)
}

/// A line of `/proc/PID/net/tcp`: a listener, or what is left of a connection within the instance to one that has gone.
fn is_of_a_server(line: &str, ours: &[u16]) -> bool {
    let Some((local, remote, state)) = ends(line) else { return false };
    let is_theirs = |port: u16| !ours.contains(&port);
    if state == LISTEN {
        return is_theirs(local.1);
    }
    let is_named = |port: u16| port < CHOSEN_PORTS_MIN && is_theirs(port);
    is_loopback(local.0) && is_loopback(remote.0) && (is_named(local.1) || is_named(remote.1))
}

/// A line of `/proc/PID/net/udp`.
fn is_named(line: &str) -> bool {
    ends(line).is_some_and(|(local, _, _)| (1..CHOSEN_PORTS_MIN).contains(&local.1))
}

/// A line of `/proc/PID/net/unix`: a name in no file system.
fn is_abstract(line: &str) -> bool {
    line.split_whitespace().nth(7).is_some_and(|name| name.starts_with('@'))
}

type End<'a> = (&'a str, u16);

/// Address and port of both ends, and the state. The heading has no colon where the ends are.
fn ends(line: &str) -> Option<(End<'_>, End<'_>, &str)> {
    let mut words = line.split_whitespace().skip(1);
    let mut end = || {
        let (address, port) = words.next()?.split_once(':')?;
        Some((address, u16::from_str_radix(port, 16).ok()?))
    };
    let (local, remote) = (end()?, end()?);
    Some((local, remote, words.next()?))
}

/// As the kernel writes addresses: words in the machine's order, which is little endian on all machines that are supported.
fn is_loopback(address: &str) -> bool {
    let is_v4 = |address: &str| address.ends_with("7F");
    match address.len() {
        8 => is_v4(address),
        32 => {
            address == "00000000000000000000000001000000"
                || address.strip_prefix("0000000000000000FFFF0000").is_some_and(is_v4)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_tells_of_a_server() {
        let line =
            |local: &str, remote: &str, state: &str| format!("   0: {local} {remote} {state} 00000000:00000000 00");
        for (local, remote, state, expect) in [
            ("0100007F:0BB8", "00000000:0000", "0A", true),
            ("0100007F:2329", "00000000:0000", "0A", false),
            ("00000000000000000000000000000000:C350", "00000000000000000000000000000000:0000", "0A", true),
            // Connections: to a server that has gone, to the platform, to the world.
            ("0100007F:C350", "0100007F:0BB8", "06", true),
            ("0000000000000000FFFF00000100007F:0BB8", "0000000000000000FFFF00000100007F:C350", "06", true),
            ("0100007F:C350", "0100007F:2329", "01", false),
            ("02004064:C350", "08080808:01BB", "01", false),
            ("0100007F:C350", "0100007F:C351", "06", false),
        ] {
            assert_eq!(is_of_a_server(&line(local, remote, state), &[9001]), expect, "{local} {remote} {state}");
        }
        assert!(!is_of_a_server("  sl  local_address rem_address   st tx_queue rx_queue", &[]));
        assert!(is_named(&line("00000000:14E9", "00000000:0000", "07")));
        assert!(!is_named(&line("00000000:C350", "08080808:0035", "01")));
        assert!(is_abstract("0000000000000000: 00000002 00000000 00010000 0001 01 12345 @/tmp/.X11-unix/X0"));
        assert!(!is_abstract("0000000000000000: 00000002 00000000 00010000 0001 01 12345 /tmp/socket"));
        assert!(!is_abstract("0000000000000000: 00000003 00000000 00000000 0001 03 12345"));
    }

    #[test]
    fn of_this_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(is_listening(std::process::id() as i32, &[]), "{listener:?}");
    }
}
