//! How a runtime is started for a debugger: Node.js with its inspector, Python with the function's own debugpy. Both wait
//! for somebody to attach, on the instance's loopback; the way there is `inside`.

use cumulet_engine::function::Runtime;
use cumulet_engine::sandbox::{InstanceSpec, StartError};

use crate::launch::Plan;

const NODE_PORT: u16 = 9229;
const PYTHON_PORT: u16 = 5678;

/// Where the debugger of a runtime listens inside.
pub(crate) fn port(runtime: &Runtime) -> Option<u16> {
    match runtime {
        Runtime::Node { .. } => Some(NODE_PORT),
        Runtime::Python { .. } => Some(PYTHON_PORT),
        _ => None,
    }
}

/// Changes a plan so that the runtime waits for a debugger. `version` is the interpreter's.
///
/// # Errors
/// A sentence for the user when the function cannot be debugged.
pub(crate) fn change(
    plan: &mut Plan,
    runtime: &Runtime,
    version: &[u16],
    spec: &InstanceSpec,
) -> Result<(), StartError> {
    match runtime {
        Runtime::Node { .. } => {
            // Older ones stop at the first line instead, which is the host's.
            let can_wait =
                version >= [22, 2].as_slice() || (version >= [20, 15].as_slice() && version < [21].as_slice());
            let how = if can_wait { "--inspect-wait" } else { "--inspect-brk" };
            plan.argv.insert(1, format!("{how}=127.0.0.1:{NODE_PORT}"));
        }
        Runtime::Python { .. } => {
            let in_layers = spec.layers_dir.as_ref().map(|layers| layers.join("python/debugpy"));
            let folder = if spec.code_dir.join("debugpy").is_dir() {
                "/var/task"
            } else if in_layers.is_some_and(|folder| folder.is_dir()) {
                "/opt/python"
            } else {
                let missing = "a debugger for Python is `debugpy`, which is not among the function's packages";
                return Err(StartError::RuntimeMissing(missing.to_owned()));
            };
            let listen = format!("127.0.0.1:{PYTHON_PORT}");
            let debugpy = ["-X", "frozen_modules=off", "-m", "debugpy", "--listen", &listen, "--wait-for-client"];
            plan.argv.splice(1..1, debugpy.map(str::to_owned));
            match plan.environment.iter_mut().find(|(name, _)| name == "PYTHONPATH") {
                Some((_, path)) => path.push_str(&format!(":{folder}")),
                None => plan.environment.push(("PYTHONPATH".to_owned(), folder.to_owned())),
            }
        }
        other => {
            return Err(StartError::RuntimeMissing(format!("there is no debugger for the runtime {other}")));
        }
    }
    Ok(())
}
