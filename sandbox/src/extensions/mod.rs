//! The extensions of one instance (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>): who has
//! registered, who is at work, who has ended. Knows no HTTP (`api`), starts no process (`supervisor`) and sends no
//! telemetry itself (`telemetry`).

pub(crate) mod api;
pub(crate) mod attendant;
pub(crate) mod supervisor;
pub(crate) mod telemetry;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cumulet_base::id;
use cumulet_base::limits::EXTENSIONS_MAX;
use cumulet_engine::function::FunctionVersion;
use cumulet_engine::invocation::Invocation;
use cumulet_engine::output::InvocationLog;
use cumulet_engine::sandbox::Failure;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::sys::Exit;
use telemetry::Telemetry;

/// What an extension may ask to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wish {
    Invoke,
    Shutdown,
}

impl Wish {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Wish::Invoke => "INVOKE",
            Wish::Shutdown => "SHUTDOWN",
        }
    }
}

/// Where an extension stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Registered,
    /// It waits for its next event, or has waited and may have gone away again.
    Waits,
    /// It has taken an event and not come back.
    Works,
    /// It has said that it failed.
    Failed,
}

#[derive(Debug)]
struct Member {
    id: String,
    name: String,
    /// A process of its own.
    is_external: bool,
    wishes: BTreeSet<Wish>,
    standing: Standing,
    /// What its next call for an event answers.
    event: Option<Value>,
}

/// A process that is an extension, or should become one.
#[derive(Debug)]
struct Expected {
    name: String,
    exit: Option<Exit>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Init,
    Invoke,
    Shutdown,
}

#[derive(Default)]
struct State {
    phase: Phase,
    expected: Vec<Expected>,
    members: Vec<Member>,
    /// What an extension reported, or how it ended; the instance ends with it.
    failure: Option<Failure>,
    runtime_exit: Option<Exit>,
    /// What extensions have printed and nobody has taken yet.
    printed: InvocationLog,
}

/// Shared by those who serve the instance's extensions, and those who wait for them.
pub(crate) struct Extensions {
    pub(crate) function: Arc<FunctionVersion>,
    pub(crate) telemetry: Telemetry,
    state: Mutex<State>,
    changed: Notify,
    /// Called when one registers that is no process of its own.
    on_internal: Box<dyn Fn() + Send + Sync>,
}

/// A call that is refused: the type and message of the error that AWS answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub kind: &'static str,
    pub message: String,
}

fn refused<T>(kind: &'static str, message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { kind, message: message.into() })
}

const UNKNOWN: &str = "Extension.UnknownExtensionIdentifier";
const WRONG_STATE: &str = "Extension.InvalidExtensionState";

impl Extensions {
    /// `expected`: the names of those that will be processes of their own.
    pub(crate) fn new(
        function: Arc<FunctionVersion>,
        expected: &[String],
        telemetry: Telemetry,
        on_internal: Box<dyn Fn() + Send + Sync>,
    ) -> Extensions {
        let expected = expected.iter().map(|name| Expected { name: name.clone(), exit: None }).collect();
        let state = Mutex::new(State { expected, ..State::default() });
        Extensions { function, telemetry, state, changed: Notify::new(), on_internal }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is a plain assignment, so that a poisoned state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let result = act(&mut self.lock());
        self.changed.notify_waiters();
        result
    }

    /// Waits until `look` finds something.
    async fn wait<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = look(&mut self.lock()) {
                return found;
            }
            changed.await;
        }
    }

    /// Whether there is anybody to tell of anything.
    pub(crate) fn is_any(&self) -> bool {
        let state = self.lock();
        !state.members.is_empty() || !state.expected.is_empty()
    }

    /// Whether any of them, external ones that is, may take part in the end.
    pub(crate) fn is_any_external(&self) -> bool {
        !self.lock().expected.is_empty()
    }

    /// Takes a member on; its identifier.
    pub(crate) fn register(&self, name: &str, events: &[String]) -> Result<String, Refused> {
        let mut wishes = BTreeSet::new();
        let (id, is_external) = self.change(|state| {
            if state.phase != Phase::Init {
                return refused("Extension.RegistrationClosed", "Extension registration is closed");
            }
            let is_external = state.expected.iter().any(|expected| expected.name == name);
            for event in events {
                match event.as_str() {
                    "INVOKE" => wishes.insert(Wish::Invoke),
                    "SHUTDOWN" if is_external => wishes.insert(Wish::Shutdown),
                    "SHUTDOWN" => {
                        return refused(
                            "Extension.InvalidEventType",
                            "SHUTDOWN: ShutdownEventNotSupportedForInternalExtension",
                        );
                    }
                    other => return refused("Extension.InvalidEventType", format!("{other}: ErrorInvalidEventType")),
                };
            }
            if state.members.iter().any(|member| member.name == name) {
                return refused("Extension.AlreadyRegistered", format!("extension {name} is registered already"));
            }
            if state.members.len() >= EXTENSIONS_MAX {
                return refused("Extension.TooManyExtensions", format!("at most {EXTENSIONS_MAX} extensions"));
            }
            let id = id::uuid();
            state.members.push(Member {
                id: id.clone(),
                name: name.to_owned(),
                is_external,
                wishes,
                standing: Standing::Registered,
                event: None,
            });
            Ok((id, is_external))
        })?;
        if !is_external {
            (self.on_internal)();
        }
        Ok(id)
    }

    /// The name of a registered extension.
    pub(crate) fn name_of(&self, id: &str) -> Result<String, Refused> {
        let state = self.lock();
        let member = state.members.iter().find(|member| member.id == id);
        member.map(|member| member.name.clone()).map_or_else(|| refused(UNKNOWN, "Unknown extension"), Ok)
    }

    /// The next event of an extension; returns when there is one.
    pub(crate) async fn next(&self, id: &str) -> Result<Value, Refused> {
        self.change(|state| match state.members.iter_mut().find(|member| member.id == id) {
            None => refused(UNKNOWN, "Unknown extension"),
            Some(member) if member.standing == Standing::Failed => {
                refused(WRONG_STATE, format!("extension {} has failed", member.name))
            }
            Some(member) => {
                member.standing = Standing::Waits;
                Ok(())
            }
        })?;
        let taken = self
            .wait(|state| {
                let member = state.members.iter_mut().find(|member| member.id == id)?;
                let event = member.event.take()?;
                member.standing = Standing::Works;
                Some(event)
            })
            .await;
        self.changed.notify_waiters();
        Ok(taken)
    }

    /// An extension says that it cannot go on: while it is being initialised, or later.
    pub(crate) fn report(&self, id: &str, is_init: bool, kind: &str) -> Result<(), Refused> {
        self.change(|state| {
            let Some(member) = state.members.iter_mut().find(|member| member.id == id) else {
                return refused(UNKNOWN, "Unknown extension");
            };
            if is_init && member.standing != Standing::Registered {
                return refused(WRONG_STATE, format!("extension {} is initialised", member.name));
            }
            member.standing = Standing::Failed;
            let (error, message) = (if is_init { "Extension.InitError" } else { "Extension.ExitError" }, kind);
            let failure = Failure::Extension { kind: error, message: format!("{}: {message}", member.name) };
            if state.phase != Phase::Shutdown {
                state.failure.get_or_insert(failure);
            }
            Ok(())
        })
    }

    /// A process has ended: an extension's, or the runtime's where `name` is none.
    pub(crate) fn ended(&self, name: Option<&str>, exit: Exit) {
        self.change(|state| {
            let Some(name) = name else {
                state.runtime_exit = Some(exit);
                return;
            };
            let Some(expected) = state.expected.iter_mut().find(|expected| expected.name == name) else { return };
            expected.exit = Some(exit);
            if state.phase != Phase::Shutdown {
                let message = match exit {
                    Exit::Code(code) => format!("exit status {code}"),
                    Exit::Signal(signal) => format!("signal: {signal}"),
                    Exit::Unknown => "unknown".to_owned(),
                };
                let is_known = state.members.iter().any(|member| member.name == name);
                // What the first process says when it cannot execute a file.
                let is_unlaunched = exit == Exit::Code(127) && !is_known;
                let kind = if is_unlaunched { "Extension.LaunchError" } else { "Extension.Crash" };
                let failure = Failure::Extension { kind, message: format!("{name}: {message}") };
                state.failure.get_or_insert(failure);
            }
        });
    }

    /// Nobody will tell of any end any more: the first process is gone, and all others with it.
    pub(crate) fn all_ended(&self) {
        self.change(|state| {
            state.runtime_exit.get_or_insert(Exit::Signal(libc::SIGKILL));
            for expected in &mut state.expected {
                expected.exit.get_or_insert(Exit::Signal(libc::SIGKILL));
            }
        });
    }

    /// Waits until every process that is an extension has registered.
    pub(crate) async fn registered(&self) -> Result<(), Failure> {
        self.wait(|state| match &state.failure {
            Some(failure) => Some(Err(failure.clone())),
            None => {
                let is_here = |expected: &Expected| state.members.iter().any(|member| member.name == expected.name);
                state.expected.iter().all(is_here).then_some(Ok(()))
            }
        })
        .await
    }

    /// Waits until nobody is at work: the end of initialisation, and of an invocation.
    pub(crate) async fn idle(&self) -> Result<(), Failure> {
        self.wait(|state| match &state.failure {
            Some(failure) => Some(Err(failure.clone())),
            None => {
                let is_idle = |member: &Member| member.standing == Standing::Waits && member.event.is_none();
                state.members.iter().all(is_idle).then_some(Ok(()))
            }
        })
        .await
    }

    #[cfg(test)]
    fn is_idle(&self) -> bool {
        let state = self.lock();
        state.members.iter().all(|member| member.standing == Standing::Waits && member.event.is_none())
    }

    /// Waits until something has ended that the instance cannot do without; `None` where that is the runtime.
    pub(crate) async fn broken(&self) -> Option<Failure> {
        self.wait(|state| match &state.failure {
            Some(failure) => Some(Some(failure.clone())),
            None => state.runtime_exit.map(|_| None),
        })
        .await
    }

    /// How the runtime ended; returns when it has.
    pub(crate) async fn runtime_ended(&self) -> Exit {
        self.wait(|state| state.runtime_exit).await
    }

    /// Waits until all processes that are extensions have ended.
    pub(crate) async fn processes_ended(&self) {
        self.wait(|state| state.expected.iter().all(|expected| expected.exit.is_some()).then_some(())).await;
    }

    /// Initialisation is over; who has not registered comes too late.
    pub(crate) fn begin_invocations(&self) {
        self.change(|state| state.phase = Phase::Invoke);
    }

    /// Whether initialisation is still under way.
    pub(crate) fn is_init(&self) -> bool {
        self.lock().phase == Phase::Init
    }

    /// Tells those who want to know of an event.
    pub(crate) fn invoke(&self, event: &Invocation, deadline_ms: u64) {
        let told = json!({
            "eventType": "INVOKE",
            "deadlineMs": deadline_ms,
            "requestId": event.request_id,
            "invokedFunctionArn": event.invoked_arn,
            "tracing": { "type": "X-Amzn-Trace-Id", "value": event.trace },
        });
        self.change(|state| {
            for member in state.members.iter_mut().filter(|member| member.wishes.contains(&Wish::Invoke)) {
                member.event = Some(told.clone());
            }
        });
    }

    /// Nothing that ends from now on is a failure.
    pub(crate) fn begin_shutdown(&self) {
        self.change(|state| state.phase = Phase::Shutdown);
    }

    /// Tells those who want to know of the end, once the runtime is gone.
    pub(crate) fn shut_down(&self, reason: &str, deadline_ms: u64) {
        let told = json!({ "eventType": "SHUTDOWN", "shutdownReason": reason, "deadlineMs": deadline_ms });
        self.change(|state| {
            for member in state.members.iter_mut().filter(|member| member.wishes.contains(&Wish::Shutdown)) {
                member.event = Some(told.clone());
            }
        });
    }

    /// Adds a line that an extension has printed.
    pub(crate) fn print(&self, at_ms: u64, line: &str) {
        self.lock().printed.push(at_ms, line);
    }

    /// Moves what extensions have printed to the log.
    pub(crate) fn drain(&self, log: &mut InvocationLog) {
        let mut printed = std::mem::take(&mut self.lock().printed);
        for event in printed.take().0 {
            log.push_quietly(event.timestamp_ms, &event.message);
        }
    }

    /// Each member with its state in Lambda's words, and what it wants to be told of.
    pub(crate) fn members(&self) -> Vec<(String, &'static str, Vec<&'static str>)> {
        let state = self.lock();
        let named = |member: &Member| {
            let standing = match (member.standing, state.phase) {
                (Standing::Failed, Phase::Init) => "InitError",
                (Standing::Failed, _) => "ExitError",
                (Standing::Registered, _) => "Registered",
                (Standing::Waits | Standing::Works, _) => "Ready",
            };
            let wishes = member.wishes.iter().map(|wish| wish.name()).collect();
            (member.name.clone(), standing, wishes)
        };
        state.members.iter().map(named).collect()
    }

    /// Whether any extension is an external one that has registered for the end.
    pub(crate) fn is_end_awaited(&self) -> bool {
        self.lock().members.iter().any(|member| member.is_external && member.wishes.contains(&Wish::Shutdown))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn extensions(expected: &[&str]) -> Extensions {
        let expected: Vec<String> = expected.iter().map(|name| (*name).to_owned()).collect();
        let telemetry = Telemetry::new(Box::new(|_| unreachable!("nobody subscribes")));
        Extensions::new(Arc::new(FunctionVersion::default()), &expected, telemetry, Box::new(|| {}))
    }

    fn register(extensions: &Extensions, name: &str, events: &[&str]) -> Result<String, &'static str> {
        let events: Vec<String> = events.iter().map(|event| (*event).to_owned()).collect();
        extensions.register(name, &events).map_err(|refused| refused.kind)
    }

    #[test]
    fn who_may_register() {
        let all = extensions(&["own"]);
        assert!(register(&all, "own", &["INVOKE", "SHUTDOWN"]).is_ok());
        assert_eq!(register(&all, "own", &[]), Err("Extension.AlreadyRegistered"));
        assert_eq!(register(&all, "inner", &["SHUTDOWN"]), Err("Extension.InvalidEventType"));
        assert_eq!(register(&all, "inner", &["RESTORE"]), Err("Extension.InvalidEventType"));
        for n in 1..EXTENSIONS_MAX {
            assert!(register(&all, &format!("inner-{n}"), &["INVOKE"]).is_ok());
        }
        assert_eq!(register(&all, "one-more", &[]), Err("Extension.TooManyExtensions"));
        all.begin_invocations();
        assert_eq!(register(&all, "late", &[]), Err("Extension.RegistrationClosed"));
    }

    #[tokio::test]
    async fn an_invocation_is_over_when_all_have_come_back() {
        let all = Arc::new(extensions(&["a"]));
        let a = register(&all, "a", &["INVOKE"]).unwrap();
        let b = register(&all, "b", &[]).unwrap();
        assert!(!all.is_idle());
        let waits = |id: &str| {
            let (all, id) = (all.clone(), id.to_owned());
            tokio::spawn(async move { all.next(&id).await })
        };
        let (first, _second) = (waits(&a), waits(&b));
        all.idle().await.unwrap();
        all.begin_invocations();
        all.invoke(&Invocation { request_id: "r".to_owned(), ..Invocation::default() }, 7);
        let event = first.await.unwrap().unwrap();
        assert_eq!(
            (&event["eventType"], &event["requestId"], &event["deadlineMs"]),
            (&json!("INVOKE"), &json!("r"), &json!(7))
        );
        assert!(!all.is_idle());
        let again = waits(&a);
        all.idle().await.unwrap();
        all.begin_shutdown();
        all.shut_down("spindown", 9);
        assert!(!again.is_finished() || again.await.is_ok(), "it did not ask for the end");
    }

    #[tokio::test]
    async fn what_ends_too_early_is_a_failure() {
        let all = extensions(&["a"]);
        all.ended(Some("a"), Exit::Code(3));
        assert_eq!(
            all.registered().await,
            Err(Failure::Extension { kind: "Extension.Crash", message: "a: exit status 3".to_owned() })
        );
        let all = extensions(&["a"]);
        let a = register(&all, "a", &[]).unwrap();
        assert_eq!(all.report("nobody", true, "x").unwrap_err().kind, UNKNOWN);
        all.report(&a, true, "No.Config").unwrap();
        assert_eq!(
            all.idle().await,
            Err(Failure::Extension { kind: "Extension.InitError", message: "a: No.Config".to_owned() })
        );
        assert_eq!(all.next(&a).await.unwrap_err().kind, WRONG_STATE);
    }
}
