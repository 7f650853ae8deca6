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
            b"--edge\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nt\r\n--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nx\r\n--edge--",
        ],
        run: |bytes| {
            let mut head = crate::form::parse::Head::new(b"edge");
            if let Ok(std::ops::ControlFlow::Break((_, mut file))) = head.feed(bytes) {
                let _bytes = file.take();
            }
        },
    },
    Target {
        name: "s3-policy",
        seeds: &[b"eyJleHBpcmF0aW9uIjoiMjAyNi0xMi0wMVQxMjowMDowMFoiLCJjb25kaXRpb25zIjpbeyJhIjoiYiJ9XX0="],
        run: |bytes| {
            let _either = crate::form::policy::Policy::of(&String::from_utf8_lossy(bytes));
        },
    },
];
