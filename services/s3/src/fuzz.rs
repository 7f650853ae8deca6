//! This crate's parsers of outside bytes, for the fuzz room; XML, signatures and chunks are read by `s3s`.

use cumulet_base::fuzz::Target;
use s3s::host::S3Host;

use crate::host::Hosts;

pub const TARGETS: &[Target] = &[
    Target {
        name: "s3-host",
        seeds: &[b"bucket.s3.us-east-1.localhost:4566", b"a.b.localhost"],
        run: |bytes| {
            let _either = Hosts.parse_host_header(&String::from_utf8_lossy(bytes));
        },
    },
    Target {
        name: "s3-form",
        seeds: &[
            b"--b\r\nContent-Disposition: form-data; name=\"x-amz-security-token\"\r\n\r\nt\r\n--b; name=\"file\"",
        ],
        run: |bytes| {
            let _either = crate::form::token(bytes);
        },
    },
];
