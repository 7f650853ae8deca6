//! What hostile code tries inside a real instance, and that each attempt is refused or contained. Every test starts its
//! own sandbox and runs a Python program in it that tries something and prints what happened. Needs Linux and python3.
#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use cumulet_sandbox::{Exit, Launched, Launcher, Plan, Process};

struct Lab {
    launcher: Launcher,
    scratch: tempfile::TempDir,
    python: String,
    prefixes: Vec<PathBuf>,
}

struct Ran {
    stdout: String,
    stderr: String,
    exit: Exit,
    process: Process,
}

impl Lab {
    fn new() -> Lab {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::create_dir(scratch.path().join("code")).unwrap();
        let launcher = Launcher::new(&scratch.path().join("data"), 1_900_000_000).unwrap();
        let system = PathBuf::from("/usr/bin/python3");
        let (python, prefixes) = if system.exists() {
            (system.to_str().unwrap().to_owned(), vec![])
        } else {
            let output = std::process::Command::new("python3")
                .args([
                    "-c",
                    "import sys,os;print(os.path.realpath(sys.executable));print(sys.base_prefix)",
                ])
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let mut lines = text.lines();
            (
                lines.next().unwrap().to_owned(),
                vec![PathBuf::from(lines.next().unwrap())],
            )
        };
        Lab {
            launcher,
            scratch,
            python,
            prefixes,
        }
    }

    fn plan(&self, code: &str) -> Plan {
        Plan {
            owner: "hostile".to_owned(),
            argv: [&self.python, "-u", "-c", code].map(str::to_owned).to_vec(),
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            code_dir: self.scratch.path().join("code"),
            runtime_dir: None,
            prefixes: self.prefixes.clone(),
            memory_mb: 128,
            ephemeral_mb: 512,
            channel: None,
            listen: vec![],
        }
    }

    async fn start(&self, code: &str) -> Launched {
        self.launcher.launch(self.plan(code)).await.unwrap()
    }

    async fn run(&self, code: &str) -> Ran {
        finish(self.start(code).await).await
    }

    /// Runs code that prints one line and expects that line.
    async fn expect(&self, code: &str, line: &str) {
        let ran = self.run(code).await;
        assert_eq!(
            (ran.stdout.trim(), ran.exit),
            (line, Exit::Code(0)),
            "{code}\n{}",
            ran.stderr
        );
    }
}

async fn read_all(fd: OwnedFd) -> String {
    tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        std::fs::File::from(fd).read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
    .await
    .unwrap()
}

async fn finish(launched: Launched) -> Ran {
    let Launched {
        process,
        stdout,
        stderr,
        ..
    } = launched;
    let all = async { tokio::join!(read_all(stdout), read_all(stderr), process.ended()) };
    let (stdout, stderr, exit) = tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .expect("the instance should end by itself");
    Ran {
        stdout,
        stderr,
        exit: exit.unwrap(),
        process,
    }
}

/// Python that prints the name of the error that `body` ends with, or `allowed`.
fn attempt(body: &str) -> String {
    let body = body.replace('\n', "\n    ");
    format!(
        "import os,sys,socket,ctypes,errno\nlibc=ctypes.CDLL(None,use_errno=True)\ndef call(*a):\n    if libc.syscall(*a)<0:\n        e=ctypes.get_errno()\n        raise OSError(e,os.strerror(e))\ntry:\n    {body}\n    print('allowed')\nexcept OSError as e:\n    print(errno.errorcode[e.errno])\n"
    )
}

#[tokio::test]
async fn it_runs_as_the_only_user_of_its_own_world() {
    let lab = Lab::new();
    let code = "import os,socket;print(os.getpid(),os.getuid(),os.getgid(),os.getgroups(),os.getcwd(),socket.gethostname(),os.getsid(0))";
    lab.expect(code, "1 993 990 [] /var/task instance 1").await;
    let code = "print([l.split()[1] for l in open('/proc/self/status') if l[:3]=='Cap' or l.startswith('NoNewPrivs') or l.startswith('Seccomp:')])";
    let zero = "'0000000000000000'";
    lab.expect(
        code,
        &format!("[{zero}, {zero}, {zero}, {zero}, {zero}, '1', '2']"),
    )
    .await;
}
