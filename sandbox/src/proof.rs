//! Before functions of an interpreter are cloned, a function of the platform's own is, which tries what could fail in clones.
//! Once for each interpreter found, beside whatever else goes on; an interpreter that fails is not cloned, and says why.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cumulet_base::limits;
use cumulet_engine::function::FunctionVersion;
use cumulet_engine::invocation::Invocation;
use cumulet_engine::output::InvocationLog;
use cumulet_engine::sandbox::{Answer, Deadline, InstanceSpec};
use tokio::sync::OnceCell;

use crate::instance::Inner;
use crate::templates::Kind;

/// All of it, on a busy machine.
const PROOF_MS: u64 = 30_000;

/// What is known of each interpreter, by its executable.
#[derive(Default)]
pub(crate) struct Proofs {
    known: Mutex<HashMap<PathBuf, Proof>>,
}

type Proof = Arc<OnceCell<Result<(), String>>>;

impl Proofs {
    fn cell(&self, executable: PathBuf) -> Proof {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(executable).or_default().clone()
    }
}

impl Inner {
    /// Whether clones of the function's interpreter work; a sentence where they do not. Waits for the proof the first time.
    pub(crate) async fn proof(self: &Arc<Self>, function: &FunctionVersion) -> Result<(), String> {
        let interpreter = self.interpreter(&function.runtime).await.map_err(|error| error.to_string())?;
        let cell = self.proofs.cell(interpreter.executable.clone());
        let proven = cell.get_or_init(|| async {
            let limit = Duration::from_millis(PROOF_MS);
            let tried = tokio::time::timeout(limit, self.try_clone(function)).await;
            tried.unwrap_or_else(|_| Err("it takes too long".to_owned())).map_err(|why| {
                format!("{} {} does not work in clones: {why}", function.runtime, interpreter.version_text())
            })
        });
        proven.await.clone()
    }

    async fn try_clone(self: &Arc<Self>, like: &FunctionVersion) -> Result<(), String> {
        let function = FunctionVersion {
            name: "cumulet-proof".to_owned(),
            handler: "index.handler".to_owned(),
            memory_mb: 512,
            ephemeral_mb: limits::FUNCTION_EPHEMERAL_MB_MIN,
            timeout_ms: PROOF_MS,
            environment: Default::default(),
            ..like.clone()
        };
        let environment = [("_HANDLER", "index.handler"), ("LAMBDA_TASK_ROOT", "/var/task"), ("TZ", ":UTC")];
        let spec = Arc::new(InstanceSpec {
            instance_id: "proof".to_owned(),
            function: Arc::new(function),
            code_dir: self.config.runtime_dir.join("proof"),
            layers_dir: None,
            is_inspected: false,
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        });
        let live = Arc::new(self.make_template(spec.clone(), Kind::Initialised).await?);
        let mut instance = self.clone_instance(live, &spec).await.map_err(|error| error.to_string())?;
        let mut log = InvocationLog::new();
        let event = Invocation {
            request_id: "proof".to_owned(),
            payload: Bytes::from_static(b"\"all\""),
            invoked_arn: spec.function.arn(),
            trace: String::new(),
            client_context: None,
            ..Invocation::default()
        };
        let at = tokio::time::Instant::now() + Duration::from_millis(PROOF_MS);
        let deadline = Deadline { at, epoch_ms: u64::MAX >> 16 };
        let answer = match instance.init(&mut log).await {
            Ok(()) => instance.invoke(&event, deadline, &mut log).await,
            Err(failure) => Err(failure),
        };
        instance.stop().await;
        match answer {
            Ok(Answer::Success(_)) => Ok(()),
            Ok(Answer::Error(object)) => Err(crate::instance::refusal(&object)),
            Err(failure) => Err(format!("{failure:?}")),
        }
    }
}
