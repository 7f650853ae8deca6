//! What the black-box tests share: a cloud of their own for each test, and the real clients to drive it with.
//! Deliberately no client of AWS's APIs: those are the AWS CLI, boto3, the AWS SDK for JavaScript, and curl.

pub mod deploy;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The root of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// The program under test, built beside the tests.
pub fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap_or_default();
    let folder = tests.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    let program = folder.join("cumulet");
    assert!(program.is_file(), "{} is not built: use `make test`", program.display());
    program
}

/// How often a checker kills the cloud: in a soak by hand as often as `SOAK_KILLS` says.
pub fn kills() -> usize {
    std::env::var("SOAK_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(50)
}

/// A running cloud. Killed when dropped.
pub struct Cloud {
    child: Child,
    pub endpoint: String,
    pub folder: tempfile::TempDir,
    options: Vec<String>,
}

impl Cloud {
    pub fn start() -> Cloud {
        Cloud::start_with(&[])
    }

    pub fn start_with(options: &[&str]) -> Cloud {
        Cloud::start_in(tempfile::tempdir().expect("a temporary folder"), options)
    }

    /// In a folder that is as the test wants it; its data go into `data` there.
    pub fn start_in(folder: tempfile::TempDir, options: &[&str]) -> Cloud {
        let options: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
        let (child, endpoint) = spawn(folder.path(), "127.0.0.1:0", &options);
        Cloud { child, endpoint, folder, options }
    }

    /// The port the cloud listens on.
    pub fn port(&self) -> &str {
        self.endpoint.rsplit(':').next().unwrap_or_default()
    }

    /// Ends it without any warning and starts it again on the same data and port.
    pub fn kill_and_restart(&mut self) {
        self.child.kill().expect("killing the cloud");
        self.child.wait().expect("reaping the cloud");
        // A process that it was just making may hold the port for a moment longer.
        let address = format!("127.0.0.1:{}", self.port());
        eventually("the port is free", || std::net::TcpListener::bind(&address).is_ok());
        self.restart();
    }

    /// Starts it again on the same data and port after it has ended.
    pub fn restart(&mut self) {
        let listen = format!("127.0.0.1:{}", self.port());
        let (child, endpoint) = spawn(self.folder.path(), &listen, &self.options);
        self.child = child;
        self.endpoint = endpoint;
    }

    /// Runs a script that says `kill` when it has work under way, is told `up` when the cloud is there again, and fails when
    /// something that was answered is missing; answers how often it was killed.
    pub fn kill_under(&mut self, mut script: Command) -> usize {
        let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starting the load");
        let mut answers = script.stdin.take().expect("its standard input is piped");
        let lines = BufReader::new(script.stdout.take().expect("its standard output is piped")).lines();
        let mut kills = 0;
        for line in lines {
            let line = line.expect("what the load says");
            if line == "kill" {
                self.kill_and_restart();
                kills += 1;
                writeln!(answers, "up").expect("telling the load");
            } else {
                println!("{line}");
            }
        }
        assert!(script.wait().expect("the load ends").success());
        kills
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([&format!("-{signal}"), &self.pid().to_string()]).status();
        assert!(status.is_ok_and(|s| s.success()), "sending {signal}");
    }

    /// Waits until the program has ended by itself.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        let mut status = None;
        eventually("the cloud ends", || {
            status = self.child.try_wait().expect("waiting for the cloud");
            status.is_some()
        });
        status.expect("it has ended")
    }

    /// A command with the environment that points AWS's tools here.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_PAGER", "")
            .env("AWS_MAX_ATTEMPTS", "1")
            // Without its own checks, so that the cloud's are seen.
            .env("AWS_CONFIG_FILE", root().join("tests/clients/aws.conf"))
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("AWS_PROFILE");
        command
    }

    /// The program's own command line.
    pub fn cumulet(&self, arguments: &[&str]) -> Output {
        output(self.command(program()).args(arguments))
    }

    /// AWS's command line; answers its JSON.
    pub fn aws(&self, arguments: &[&str]) -> Value {
        let ran = self.aws_output(arguments);
        assert!(ran.status.success(), "aws {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        if ran.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&ran.stdout).unwrap_or(Value::Null) }
    }

    pub fn aws_output(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(root().join(".venv/bin/aws"));
        // Version 1 of it asks SQS under the name on an old certificate, whatever AWS_ENDPOINT_URL says.
        command.args(arguments).args(["--output", "json", "--endpoint-url", &self.endpoint]);
        output(&mut command)
    }

    /// The error AWS's command line shows.
    pub fn aws_error(&self, arguments: &[&str]) -> String {
        let ran = self.aws_output(arguments);
        assert!(
            !ran.status.success(),
            "aws {arguments:?} should have failed, and answered {}",
            String::from_utf8_lossy(&ran.stdout)
        );
        String::from_utf8_lossy(&ran.stderr).into_owned()
    }

    /// curl, with every `*.localhost` name led here.
    pub fn curl(&self, arguments: &[&str], url: &str) -> Output {
        let host = url.split("//").nth(1).and_then(|rest| rest.split(['/', ':', '?']).next()).unwrap_or_default();
        let resolve = format!("{host}:{}:127.0.0.1", self.port());
        output(Command::new("curl").args(["-sS", "--max-time", "30", "--resolve", &resolve]).args(arguments).arg(url))
    }

    /// Uploads a function whose zip holds the files given.
    pub fn create_function(&self, name: &str, runtime: &str, handler: &str, files: &[(&str, &str)]) {
        self.create_function_with(name, runtime, handler, files, &[]);
    }

    pub fn create_function_with(
        &self,
        name: &str,
        runtime: &str,
        handler: &str,
        files: &[(&str, &str)],
        options: &[&str],
    ) {
        let zip = self.zip(files);
        let archive = format!("fileb://{}", zip.display());
        let fixed = [
            "lambda",
            "create-function",
            "--function-name",
            name,
            "--runtime",
            runtime,
            "--handler",
            handler,
            "--role",
            "arn:aws:iam::000000000000:role/test",
            "--zip-file",
            &archive,
        ];
        self.aws(&[&fixed[..], options].concat());
    }

    /// A zip in the cloud's temporary folder.
    pub fn zip(&self, files: &[(&str, &str)]) -> PathBuf {
        let count = std::fs::read_dir(self.folder.path()).map(Iterator::count).unwrap_or(0);
        let path = self.folder.path().join(format!("code-{count}.zip"));
        std::fs::write(&path, zip_of(files)).expect("writing the zip");
        path
    }

    /// Invokes through AWS's command line; answers the metadata and the payload.
    pub fn invoke(&self, name: &str, payload: &str) -> (Value, Value) {
        let out = tempfile::NamedTempFile::new().expect("a temporary file");
        let path = out.path().to_string_lossy().into_owned();
        let event = tempfile::NamedTempFile::new().expect("a temporary file");
        event.as_file().write_all(payload.as_bytes()).expect("writing the event");
        let event = format!("fileb://{}", event.path().display());
        let meta =
            self.aws(&["lambda", "invoke", "--function-name", name, "--payload", &event, "--log-type", "Tail", &path]);
        let payload = std::fs::read(out.path()).expect("reading the answer");
        (meta, serde_json::from_slice(&payload).unwrap_or(Value::Null))
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

fn spawn(folder: &Path, listen: &str, options: &[String]) -> (Child, String) {
    let data = folder.join("data");
    let mut child = Command::new(program())
        .args(["--output", "json", "up", "--listen", listen, "--data-dir"])
        .arg(&data)
        .args(options)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starting the cloud");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("its standard output is piped");
    BufReader::new(stdout).read_line(&mut line).expect("reading what the cloud says");
    let said: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("the cloud said `{line}`: {e}"));
    let endpoint = said["endpoint"].as_str().expect("it names its endpoint").to_owned();
    (child, endpoint)
}

/// Something else that has to run beside a cloud and says where it is. Killed when dropped.
pub struct Server {
    child: Child,
    says: BufReader<std::process::ChildStdout>,
}

impl Server {
    pub fn start(command: &mut Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap_or_else(|e| panic!("starting {command:?}: {e}"));
        let says = BufReader::new(child.stdout.take().expect("its standard output is piped"));
        Server { child, says }
    }

    /// The next line it says.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).expect("reading what it says");
        line.trim_end().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

/// A small disk of its own, taken away when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`: only root may have one.
    pub fn at(place: PathBuf, mib: u32) -> Option<SmallDisk> {
        std::fs::create_dir_all(&place).expect("a place for the disk");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "cumulet-test"]).arg(&place);
        (is_root() && output(&mut mount).status.success()).then_some(SmallDisk(place))
    }

    pub fn grow(&self, mib: u32) {
        succeed(Command::new("mount").args(["-o", &format!("remount,size={mib}m")]).arg(&self.0));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whatever became of the test.
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
        let _empty = self.0.parent().map(std::fs::remove_dir_all);
    }
}

/// AWS's SDKs as the program installs them; once for all tests.
pub fn sdk() -> PathBuf {
    let folder = root().join(".sdk");
    std::fs::create_dir_all(&folder).expect("making the folder of the SDKs");
    let lock = std::fs::File::create(folder.join("lock")).expect("making a lock");
    lock.lock().expect("waiting for the lock");
    let stamp = folder.join("complete");
    if !stamp.exists() {
        succeed(Command::new(program()).args(["sdk", "install", "--dir"]).arg(&folder));
        std::fs::write(&stamp, "").expect("saying that it is done");
    }
    folder
}

/// A zip with executable files.
pub fn zip_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in files {
        let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
        writer.start_file(*name, options).expect("a file of a zip");
        writer.write_all(text.as_bytes()).expect("the content of a file");
    }
    writer.finish().expect("a whole zip").into_inner()
}

pub fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|e| panic!("running {command:?}: {e}"))
}

/// Runs a command that has to succeed; answers its standard output.
pub fn succeed(command: &mut Command) -> String {
    let ran = output(command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(ran.status.success(), "{command:?}\n{}\n{}", text(&ran.stdout), text(&ran.stderr));
    text(&ran.stdout)
}

/// Runs a test of this program again in a network of its own, where no other test and no other platform changes interfaces;
/// answers whether the caller has nothing left to do. Where the user may not make networks, the test runs where it is.
pub fn ran_in_its_own_network(test: &str) -> bool {
    const INNER: &str = "CUMULET_TEST_OWN_NETWORK";
    if std::env::var_os(INNER).is_some() || !is_root() {
        return false;
    }
    let this = std::env::current_exe().expect("this test");
    let script = format!("ip link set lo up && exec {} --exact {test} --nocapture", this.display());
    print!("{}", succeed(Command::new("unshare").args(["-n", "sh", "-c", &script]).env(INNER, "1")));
    true
}

pub fn is_root() -> bool {
    succeed(Command::new("id").arg("-u")).trim() == "0"
}

/// Waits for a condition, with a deadline.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// The identifiers of the interpreters on this machine.
pub fn node_runtime() -> String {
    format!("nodejs{}.x", succeed(Command::new("node").args(["-p", "process.versions.node.split('.')[0]"])).trim())
}

pub fn python_runtime() -> String {
    format!(
        "python3.{}",
        succeed(Command::new("python3").args(["-c", "import sys; print(sys.version_info.minor)"])).trim()
    )
}
