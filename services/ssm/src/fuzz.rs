//! This crate's parsers of outside bytes, for the fuzz room.

use cumulet_base::fuzz::Target;

use crate::names;

pub const TARGETS: &[Target] = &[Target {
    name: "ssm-names",
    seeds: &[b"/a/b:3", b"arn:aws:ssm:us-east-1:000000000000:parameter/a/b:live", b"a"],
    run: |bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Some(selected) = names::selected(&text) {
            assert!(!selected.name.is_empty());
            let _either = names::check(selected.name);
            let _either = names::is_under(selected.name, &text, true);
        }
        let _either = names::is_label(&text);
    },
}];
