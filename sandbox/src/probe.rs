//! Looks at what this machine and this user can do, for `cumulet doctor`. Sets up control groups as a
//! sandbox would, and removes its own again; changes nothing else.

use std::path::PathBuf;

use crate::cgroup::Cgroups;
use crate::interpreter::{Interpreters, Language};
use crate::network::find_tool;
use crate::sys;

/// One thing the sandbox uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    pub name: &'static str,
    pub available: bool,
    /// What was found.
    pub detail: String,
    /// How to get it; empty when it is there.
    pub how_to_get: String,
}

fn feature(name: &'static str, available: bool, detail: impl Into<String>, how_to_get: &str) -> Feature {
    Feature {
        name,
        available,
        detail: detail.into(),
        how_to_get: if available { String::new() } else { how_to_get.to_owned() },
    }
}

/// Every feature, in the order of importance. Blocks while interpreters are asked for their versions.
/// `interpreters`: as in the sandbox's configuration.
pub fn probe(interpreters: &[PathBuf]) -> Vec<Feature> {
    let mut features = kernel();
    features.extend(namespaces());
    features.push(control_groups());
    let root = sys::effective_ids().0 == 0;
    let (detail, cannot) = (if root { "" } else { "not root" }, "run as root; otherwise every instance is started");
    features.push(feature("clones of live processes", root, detail, cannot));
    features.extend(languages(interpreters));
    features.push(network());
    features
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn kernel() -> Vec<Feature> {
    let release = read("/proc/sys/kernel/osrelease");
    let calls = [
        ("clone3", libc::SYS_clone3, "Linux 5.3 or newer"),
        ("pidfd", libc::SYS_pidfd_send_signal, "Linux 5.4 or newer"),
        ("close_range", libc::SYS_close_range, "Linux 5.9 or newer"),
        ("mount_setattr", libc::SYS_mount_setattr, "Linux 5.12 or newer"),
        ("open_tree", libc::SYS_open_tree, "Linux 5.2 or newer"),
    ];
    let mut features: Vec<Feature> = calls
        .into_iter()
        .map(|(name, number, need)| feature(name, sys::has_syscall(number), format!("Linux {release}"), need))
        .collect();
    let actions = read("/proc/sys/kernel/seccomp/actions_avail");
    let filesystems = read("/proc/filesystems");
    let has_tmpfs = filesystems.lines().any(|line| line.trim_start_matches("nodev").trim() == "tmpfs");
    features.push(feature("tmpfs", has_tmpfs, "", "a kernel with CONFIG_TMPFS"));
    features.push(feature("seccomp", actions.contains("errno"), actions, "a kernel with CONFIG_SECCOMP_FILTER"));
    features
}

fn namespaces() -> Vec<Feature> {
    let root = sys::effective_ids().0 == 0;
    let user_max = read("/proc/sys/user/max_user_namespaces");
    let clone_allowed = read("/proc/sys/kernel/unprivileged_userns_clone") != "0";
    let apparmor = read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1";
    let user = user_max != "0" && (root || (clone_allowed && !apparmor));
    let mut features = vec![feature(
        "user namespaces",
        user && std::fs::exists("/proc/self/ns/user").unwrap_or(false),
        format!("max_user_namespaces={user_max}{}", if apparmor { ", restricted by AppArmor" } else { "" }),
        "as root: `sysctl user.max_user_namespaces=10000`, and `kernel.unprivileged_userns_clone=1` or `kernel.apparmor_restrict_unprivileged_userns=0` where they exist; or run as root",
    )];
    for (name, file) in [
        ("pid namespaces", "pid"),
        ("mount namespaces", "mnt"),
        ("ipc namespaces", "ipc"),
        ("uts namespaces", "uts"),
        ("network namespaces", "net"),
        ("cgroup namespaces", "cgroup"),
    ] {
        features.push(feature(
            name,
            std::fs::exists(format!("/proc/self/ns/{file}")).unwrap_or(false),
            "",
            "a kernel built with it",
        ));
    }
    features.push(feature(
        "a host user per function",
        root,
        if root { "running as root" } else { "not root" },
        "run as root; otherwise all functions share the platform's user",
    ));
    features
}

fn control_groups() -> Feature {
    let groups = Cgroups::detect();
    let kind = groups.describe();
    feature(
        "control groups",
        groups.lacking.is_empty() && kind != "none",
        if groups.lacking.is_empty() { kind.to_owned() } else { format!("{kind}; {}", groups.lacking.join("; ")) },
        "run as root, or as a systemd service with `Delegate=yes`",
    )
}

fn languages(configured: &[PathBuf]) -> Vec<Feature> {
    let interpreters = Interpreters::new(configured.to_vec(), false);
    [("Node.js", Language::Node), ("Python", Language::Python)]
        .into_iter()
        .map(|(name, language)| {
            let found: Vec<String> = interpreters
                .all(language)
                .iter()
                .map(|i| format!("{} at {}", i.version_text(), i.executable.display()))
                .collect();
            feature(
                name,
                !found.is_empty(),
                found.join(", "),
                "install it, or name its directory in the configuration of interpreters",
            )
        })
        .collect()
}

fn network() -> Feature {
    let has_nft = find_tool("nft").is_some();
    let root = sys::effective_ids().0 == 0;
    let relay = find_tool("slirp4netns").is_some();
    let tun = std::fs::File::options().read(true).write(true).open("/dev/net/tun").is_ok();
    let detail = match root {
        false if !relay => "not root; not found: slirp4netns",
        false if !tun => "not root, and no leave to open /dev/net/tun",
        false => "slirp4netns",
        true if has_nft => "virtual interfaces and nftables",
        true => "not found: nft",
    };
    feature(
        "outbound network",
        if root { has_nft } else { relay && tun },
        detail.to_owned(),
        "run as root with the package nftables, or as another user with slirp4netns; otherwise functions reach the platform's endpoint only",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_can_be_got() {
        let features = probe(&[]);
        assert!(features.iter().any(|f| f.name == "control groups"));
        for feature in features {
            assert_eq!(feature.available, feature.how_to_get.is_empty(), "{feature:?}");
        }
    }
}
