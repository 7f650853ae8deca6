//! AWS's protocols on the wire: request and answer shapes, SigV4, the registry of operations, errors, and the HTTP
//! server in front of it all. Knows no service: services register themselves.

pub mod auth;
pub mod call;
pub mod cbor;
pub mod client;
pub mod data_plane;
pub mod error;
pub mod event_pattern;
pub mod event_stream;
pub mod front;
#[doc(hidden)]
pub mod fuzz;
pub mod http_event;
pub mod operation;
pub mod outbound;
pub mod patterns;
pub mod policy;
pub mod preamble;
pub mod protocol;
pub mod query;
pub mod raw;
pub mod schedule;
pub mod seal;
pub mod tls;
pub mod validate;
