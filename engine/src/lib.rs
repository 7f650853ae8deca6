//! The path of an invocation: admission, placement, instance, outcome, record; one module a stage, in that order.
//! What it needs from outside are ports: [`sandbox`] (processes), [`catalog`] (functions), [`record`] (logs and meter),
//! [`catalog::Sessions`] (credentials of functions). Knows no HTTP and no AWS protocol.

mod account;
pub mod catalog;
pub mod code;
pub mod engine;
mod environment;
pub mod events;
pub mod function;
#[doc(hidden)]
pub mod fuzz;
pub mod image;
pub mod inspect;
pub mod invocation;
mod machine;
pub mod outcome;
pub mod output;
mod packed;
pub mod policy;
mod pool;
pub mod record;
pub mod rounds;
pub mod sandbox;
pub mod stream;

pub use engine::{Config, Engine, Ports};
pub use policy::machine::Bounds;
