//! Runs Python programs in sandboxes and tells what came of it.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use cumulet_sandbox::{Exit, Launched, Launcher, Network, Plan, Process, SandboxConfig};

pub(crate) struct Lab {
    pub(crate) launcher: Launcher,
    pub(crate) scratch: tempfile::TempDir,
    pub(crate) python: String,
    pub(crate) prefixes: Vec<PathBuf>,
}

pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) exit: Exit,
    pub(crate) process: Process,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        Lab::with_network(Network::None)
    }

    pub(crate) fn with_network(network: Network) -> Lab {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::create_dir(scratch.path().join("code")).unwrap();
        let mut config = SandboxConfig::new(scratch.path().join("data"), scratch.path().to_owned());
        config.network = network;
        let launcher = Launcher::new(&config).unwrap();
        let system = PathBuf::from("/usr/bin/python3");
        let (python, prefixes) = if system.exists() {
            (system.to_str().unwrap().to_owned(), vec![])
        } else {
            let output = std::process::Command::new("python3")
                .args(["-c", "import sys,os;print(os.path.realpath(sys.executable));print(sys.base_prefix)"])
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let mut lines = text.lines();
            (lines.next().unwrap().to_owned(), vec![PathBuf::from(lines.next().unwrap())])
        };
        Lab { launcher, scratch, python, prefixes }
    }

    pub(crate) fn plan(&self, code: &str) -> Plan {
        Plan {
            owner: "hostile".to_owned(),
            argv: [&self.python, "-u", "-c", code].map(str::to_owned).to_vec(),
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            code_dir: self.scratch.path().join("code"),
            layers_dir: None,
            runtime_dir: None,
            prefixes: self.prefixes.clone(),
            memory_mb: 128,
            ephemeral_mb: 512,
            channel: None,
            listen: vec![],
            image: None,
            directory: "/var/task".to_owned(),
            file_system: None,
            init: None,
            is_template: false,
        }
    }

    pub(crate) async fn start(&self, code: &str) -> Launched {
        self.launcher.launch(self.plan(code)).await.unwrap()
    }

    pub(crate) async fn run(&self, code: &str) -> Ran {
        finish(self.start(code).await).await
    }

    /// Runs code that prints one line and expects that line.
    pub(crate) async fn expect(&self, code: &str, line: &str) {
        let ran = self.run(code).await;
        assert_eq!((ran.stdout.trim(), ran.exit), (line, Exit::Code(0)), "{code}\n{}", ran.stderr);
    }
}

pub(crate) async fn read_all(fd: OwnedFd) -> String {
    tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        std::fs::File::from(fd).read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
    .await
    .unwrap()
}

pub(crate) async fn finish(launched: Launched) -> Ran {
    let Launched { process, stdout, stderr, .. } = launched;
    let all = async { tokio::join!(read_all(stdout), read_all(stderr), process.ended()) };
    let (stdout, stderr, exit) =
        tokio::time::timeout(Duration::from_secs(60), all).await.expect("the instance should end by itself");
    Ran { stdout, stderr, exit: exit.unwrap(), process }
}

/// Python that tries each line of each body and prints `number=<error or what it returned>`.
pub(crate) fn attempts(bodies: &[&str]) -> String {
    let mut code = "import os,sys,socket,ctypes,errno,subprocess,fcntl\nlibc=ctypes.CDLL(None,use_errno=True)\ndef call(*a):\n    if libc.syscall(*[ctypes.c_long(x) if isinstance(x,int) else x for x in a])<0:\n        e=ctypes.get_errno()\n        raise OSError(e,os.strerror(e))\n    return 'allowed'\n".to_owned();
    for (number, body) in bodies.iter().enumerate() {
        code.push_str(&format!(
            "try:\n    print('{number}='+str({body}))\nexcept TimeoutError:\n    print('{number}=timeout')\nexcept OSError as e:\n    print('{number}='+errno.errorcode[e.errno])\n"
        ));
    }
    code
}

impl Lab {
    /// Each attempt and what it has to come to, all in one instance.
    pub(crate) async fn refuses(&self, table: &[(&str, &str)]) {
        let bodies: Vec<&str> = table.iter().map(|(body, _)| *body).collect();
        let ran = self.run(&attempts(&bodies)).await;
        let lines: Vec<&str> = ran.stdout.lines().collect();
        for (number, (body, expect)) in table.iter().enumerate() {
            let got = lines.get(number).and_then(|line| line.split_once('=')).map(|(_, got)| got);
            assert_eq!(got, Some(*expect), "{body}\n{}", ran.stderr);
        }
        assert_eq!(ran.exit, Exit::Code(0));
    }
}

/// Waits for a condition, with a deadline.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "waiting until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Kernels differ in what is in `/proc`; what is not there cannot be opened either.
pub(crate) fn where_host_has(path: &str, expect: &'static str) -> &'static str {
    if std::path::Path::new(path).exists() { expect } else { "ENOENT" }
}

/// Processes of the host with `marker` among their arguments.
pub(crate) fn processes_with(marker: &str) -> Vec<i32> {
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(marker))
        })
        .collect()
}
