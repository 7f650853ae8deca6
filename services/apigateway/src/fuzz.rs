//! This crate's parsers of outside bytes, for the fuzz room.

use cumulet_base::fuzz::Target;

use crate::access_log;
use crate::routing::{self, RouteKey, RouteTable};

pub const TARGETS: &[Target] = &[
    Target {
        name: "apigateway-routes",
        seeds: &[b"GET /pets/{id}\nANY /files/{path+}\n$default\n/pets/a%20b//c?d"],
        run: routes,
    },
    Target {
        name: "apigateway-uri",
        seeds: &[b"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations"],
        run: |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let _either = routing::function_of(&text, &[("a".to_owned(), "b".to_owned())].into());
            let _either = access_log::group(&text);
        },
    },
    Target {
        name: "apigateway-access-log",
        seeds: &[b"{\"a\":\"$context.requestId\",\"b\":$context.status.$context.}"],
        run: |bytes| {
            let _line = access_log::line(&String::from_utf8_lossy(bytes), &vec![("status", "\"2\"".to_owned())]);
        },
    },
];

/// Routes by line, then a path that is looked for among them.
fn routes(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut table = RouteTable::default();
    for (index, key) in text.lines().filter_map(RouteKey::parse).enumerate() {
        table.add(&key, index);
    }
    let path = text.lines().last().unwrap_or_default();
    let _either = table.find("GET", path);
}
