//! Whether every dependency has a licence this project may be given away with. For machines without cargo-deny, whose
//! `deny.toml` holds the same list.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const ALLOWED: &[&str] = &[
    "Apache-2.0",
    "MIT",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Unicode-3.0",
    "Zlib",
    "MIT-0",
    "Unlicense",
    "CC0-1.0",
    "BSL-1.0",
    "0BSD",
    "Apache-2.0 WITH LLVM-exception",
    // Of data: the list of certificate authorities.
    "CDLA-Permissive-2.0",
];

pub fn check(root: &Path) -> Vec<String> {
    let ran = Command::new(env!("CARGO")).args(["metadata", "--format-version", "1"]).current_dir(root).output();
    let Ok(ran) = ran else { return vec!["cargo metadata could not be run".into()] };
    let Ok(metadata) = serde_json::from_slice::<Value>(&ran.stdout) else {
        return vec!["cargo metadata did not answer in JSON".into()];
    };
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    packages
        .iter()
        .filter(|package| !is_allowed(package["license"].as_str().unwrap_or_default()))
        .map(|package| {
            format!("{} {}: the licence {} is not on the list", package["name"], package["version"], package["license"])
        })
        .collect()
}

/// One side of each `OR`, all sides of each `AND`.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace(['(', ')'], "").replace('/', " OR ");
    expression.split(" AND ").all(|part| part.split(" OR ").any(|one| ALLOWED.contains(&one.trim())))
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn expressions() {
        for good in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0"] {
            assert!(!is_allowed(bad), "{bad}");
        }
    }
}
