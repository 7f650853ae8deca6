//! What hostile code tries inside a real instance, and that each attempt is refused or contained. Every test starts its
//! own sandbox and runs a Python program in it that tries something and prints what happened. Needs Linux and python3.
#![allow(clippy::unwrap_used)]

mod lab;
mod network;

use cumulet_sandbox::Exit;
use lab::{Lab, attempts, finish, processes_with, until, where_host_has};

#[tokio::test]
async fn it_runs_as_the_only_user_of_its_own_world() {
    let lab = Lab::new();
    let code = "import os,socket;print(os.getpid(),os.getuid(),os.getgid(),os.getgroups(),os.getcwd(),socket.gethostname(),os.getsid(0),sorted(os.listdir('/proc/self/fd')))";
    lab.expect(code, "1 993 990 [] /var/task instance 1 ['0', '1', '2', '3']").await;
    let code = "print([l.split()[1] for l in open('/proc/self/status') if l[:3]=='Cap' or l.startswith('NoNewPrivs') or l.startswith('Seccomp:')])";
    let zero = "'0000000000000000'";
    lab.expect(code, &format!("[{zero}, {zero}, {zero}, {zero}, {zero}, '1', '2']")).await;
}

#[tokio::test]
async fn host_files_are_not_there() {
    let lab = Lab::new();
    let secret = lab.scratch.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    let read_secret = format!("open('{}').read()", secret.display());
    lab.refuses(&[
        (&read_secret, "ENOENT"),
        ("os.listdir('/home')", "ENOENT"),
        ("os.listdir('/sys')", "ENOENT"),
        ("os.listdir('/run')", "ENOENT"),
        ("os.listdir('/boot')", "ENOENT"),
        ("open('/etc/shadow').read()", "ENOENT"),
        ("os.listdir('/tmp')", "[]"),
        ("os.listdir('/opt')", "[]"),
        ("os.listdir('/proc/1/root/var')==os.listdir('/var')", "True"),
        (
            "sorted(set(os.listdir('/'))-{'lib','lib32','lib64','libx32','bin','sbin','root','nix'})",
            "['dev', 'etc', 'opt', 'proc', 'tmp', 'usr', 'var']",
        ),
        (
            "sorted(os.listdir('/dev'))",
            "['fd', 'full', 'null', 'random', 'stderr', 'stdin', 'stdout', 'urandom', 'zero']",
        ),
        ("open('/dev/null','w').write('x')", "1"),
        ("len(open('/dev/zero','rb').read(3))", "3"),
    ])
    .await;
}

#[tokio::test]
async fn nothing_but_tmp_can_be_written() {
    let lab = Lab::new();
    // As even its owner could not write into a read-only mount, the whole tree is tried, not only what permits it.
    let code = "
import os
open('/tmp/mine','w').write('x')
bad=[]
for top,dirs,files in os.walk('/'):
    if top.startswith('/proc') or top.startswith('/tmp'):
        dirs[:]=[]
        continue
    try:
        open(top+'/x','w')
        bad.append(top)
    except OSError as e:
        pass
    if top.count('/')>3: dirs[:]=[]
print(bad, os.path.exists('/tmp/mine'))
";
    lab.expect(code, "[] True").await;
    lab.refuses(&[
        ("open('/var/task/x','w')", "EROFS"),
        ("open('/x','w')", "EROFS"),
        ("os.mkdir('/dev/shm')", "EROFS"),
        ("open('/etc/hosts','a')", "EACCES"),
        // Every mount is read-only but for these, whatever its files' permissions say.
        (
            "sorted(m[1] for m in map(str.split,open('/proc/self/mounts')) if m[3].split(',')[0]!='ro' and m[1]!='/proc/'+m[1][6:])",
            "['/dev/full', '/dev/null', '/dev/random', '/dev/urandom', '/dev/zero', '/proc', '/tmp']",
        ),
        ("os.chmod('/var/task',0o777)", "EROFS"),
        ("open('/proc/sys/kernel/core_pattern','w')", "EROFS"),
        ("open('/proc/sys/vm/overcommit_memory','w')", "EROFS"),
        (
            "open('/proc/sysrq-trigger','w')",
            where_host_has("/proc/sysrq-trigger", "EROFS"),
        ),
    ])
    .await;
}

#[tokio::test]
async fn other_processes_cannot_be_seen_or_touched() {
    let lab = Lab::new();
    let neighbour = lab.start("import time;print('up');time.sleep(600)").await;
    let host = std::process::id();
    let kill_host = format!("os.kill({host},9)");
    let kill_neighbour = format!("os.kill({},9)", neighbour.process.pid());
    let look = format!("os.listdir('/proc/{host}')");
    lab.refuses(&[
        (&kill_host, "ESRCH"),
        (&kill_neighbour, "ESRCH"),
        ("os.kill(-1,9)", "ESRCH"),
        (&look, "ENOENT"),
        ("[p for p in os.listdir('/proc') if p.isdigit()]", "['1']"),
        ("open('/proc/kcore','rb').read(8)", where_host_has("/proc/kcore", "b''")),
        ("open('/proc/keys').read()", where_host_has("/proc/keys", "")),
        ("open('/proc/kallsyms').read()", where_host_has("/proc/kallsyms", "")),
        ("open('/proc/iomem').read()", where_host_has("/proc/iomem", "")),
        ("open('/proc/self/cgroup').read().count('cumulet')", "0"),
        ("open('/proc/self/oom_score_adj').read().strip()", "500"),
        ("os.write(os.open('/proc/self/oom_score_adj',1),b'-1000')", "EACCES"),
    ])
    .await;
    assert!(neighbour.process.is_alive());
    neighbour.process.stop().await;
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn dangerous_system_calls_are_refused() {
    let lab = Lab::new();
    let call = |number: libc::c_long, rest: &str| format!("call({number},{rest})");
    let calls = [
        (call(libc::SYS_ptrace, "0,0,0,0"), "EPERM"),
        (call(libc::SYS_process_vm_readv, "1,0,0,0,0,0"), "EPERM"),
        (call(libc::SYS_mount, "0,0,0,0,0"), "EPERM"),
        (call(libc::SYS_umount2, "b'/proc',2"), "EPERM"),
        (call(libc::SYS_unshare, "0x10000000"), "EPERM"),
        (call(libc::SYS_unshare, "0x20000"), "EPERM"),
        (call(libc::SYS_clone, "0x10000011,0,0,0,0"), "EPERM"),
        (call(libc::SYS_clone3, "0,0"), "ENOSYS"),
        (call(libc::SYS_setns, "0,0"), "EPERM"),
        (call(libc::SYS_io_uring_setup, "8,0"), "ENOSYS"),
        (call(libc::SYS_bpf, "0,0,0"), "EPERM"),
        (call(libc::SYS_keyctl, "0,0,0"), "EPERM"),
        (call(libc::SYS_add_key, "b'user',b'a',b'b',1,0"), "EPERM"),
        (call(libc::SYS_perf_event_open, "0,0,0,0,0"), "EPERM"),
        (call(libc::SYS_userfaultfd, "0"), "EPERM"),
        (call(libc::SYS_kexec_load, "0,0,0,0"), "EPERM"),
        (call(libc::SYS_kexec_file_load, "0,0,0,0,0"), "EPERM"),
        (call(libc::SYS_finit_module, "0,0,0"), "EPERM"),
        (call(libc::SYS_reboot, "0,0,0,0"), "EPERM"),
        (call(libc::SYS_open_tree, "0,0,0"), "EPERM"),
        (call(libc::SYS_chroot, "b'/tmp'"), "EPERM"),
        (call(libc::SYS_prctl, "1,0,0,0,0"), "EPERM"),
        (call(libc::SYS_personality, "0x0040000"), "EPERM"),
        (call(libc::SYS_sethostname, "b'x',1"), "EPERM"),
        (call(libc::SYS_setuid, "0"), "EINVAL"),
        (call(libc::SYS_setgid, "0"), "EINVAL"),
        ("fcntl.ioctl(0,0x5412,b'x')".to_owned(), "EPERM"),
        ("os.mknod('/tmp/mem',0o020666,os.makedev(1,1))".to_owned(), "EPERM"),
        ("os.nice(-5)".to_owned(), "EPERM"),
    ];
    let table: Vec<(&str, &str)> = calls.iter().map(|(a, b)| (a.as_str(), *b)).collect();
    lab.refuses(&table).await;
}

#[tokio::test]
async fn setuid_programs_give_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::new();
    let copy = lab.scratch.path().join("code/id");
    std::fs::copy("/usr/bin/id", &copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o6755)).unwrap();
    lab.refuses(&[("subprocess.check_output(['/var/task/id','-u'])", "b'993\\n'"), ("os.chown('/tmp',0,0)", "EINVAL")])
        .await;
}

#[tokio::test]
async fn a_fork_bomb_stops_at_its_limit() {
    let lab = Lab::new();
    let neighbour = lab.start("import time;print('up');time.sleep(600)").await;
    let code = "
import os,time,errno
n=0
while True:
    try:
        if os.fork()==0:
            time.sleep(600)
        n+=1
    except OSError as e:
        print(errno.errorcode[e.errno], n>100 and n<=1024)
        os._exit(0)
";
    let mut plan = lab.plan(code);
    plan.memory_mb = 2048;
    let ran = finish(lab.launcher.launch(plan).await.unwrap()).await;
    assert_eq!(ran.stdout.trim(), "EAGAIN True", "{}", ran.stderr);
    assert!(!ran.process.ran_out_of_memory());
    assert!(neighbour.process.is_alive());
    neighbour.process.stop().await;
    ran.process.stop().await;
}

#[tokio::test]
async fn a_memory_bomb_ends_only_itself() {
    let lab = Lab::new();
    let neighbour = lab.start("import time;print('up');time.sleep(600)").await;
    let ran = lab.run("a=[]\nwhile True: a.append(bytearray(1<<20))").await;
    assert_eq!(ran.exit, Exit::Signal(libc::SIGKILL));
    assert!(ran.process.ran_out_of_memory());
    let usage = ran.process.usage();
    assert!(usage.memory_peak_bytes > 100 << 20, "{usage:?}");
    assert!(usage.memory_peak_bytes <= 144 << 20, "{usage:?}");
    assert!(usage.cpu_us > 0);
    assert!(neighbour.process.is_alive());
    assert!(!neighbour.process.ran_out_of_memory());
    neighbour.process.stop().await;
}

#[tokio::test]
async fn tmp_fills_up_without_harm() {
    let lab = Lab::new();
    let code = attempts(&["[open('/tmp/a','ab').write(bytes(1<<20)) for _ in range(100)]"]);
    let mut plan = lab.plan(&code);
    plan.ephemeral_mb = 8;
    let ran = finish(lab.launcher.launch(plan).await.unwrap()).await;
    assert_eq!(ran.stdout.trim(), "0=ENOSPC", "{}", ran.stderr);
    let code = attempts(&["[open('/tmp/%d'%n,'w').close() for n in range(10000)]"]);
    let mut plan = lab.plan(&code);
    plan.ephemeral_mb = 8;
    let ran = finish(lab.launcher.launch(plan).await.unwrap()).await;
    assert_eq!(ran.stdout.trim(), "0=ENOSPC", "{}", ran.stderr);
    // What lies in /tmp is memory of the instance.
    let ran = lab.run("f=open('/tmp/a','wb')\nwhile True: f.write(bytes(1<<20))").await;
    assert!(ran.process.ran_out_of_memory(), "{}", ran.stderr);
}

#[tokio::test]
async fn daemons_do_not_outlive_their_instance() {
    let lab = Lab::new();
    let marker = format!("daemon-of-{}", std::process::id());
    let code = format!(
        "
import os,subprocess,sys,time
for _ in range(3):
    if os.fork()==0:
        os.setsid()
        if os.fork()==0:
            os.execv(sys.executable,[sys.executable,'-c','import time,signal;signal.signal(15,signal.SIG_IGN);time.sleep(600)','{marker}'])
        os._exit(0)
time.sleep(600)
"
    );
    let instance = lab.start(&code).await;
    // The instance's own arguments contain the marker too.
    until("the daemons run", || processes_with(&marker).len() >= 4).await;
    instance.process.stop().await;
    assert_eq!(processes_with(&marker), Vec::<i32>::new());
}

/// Runs this very test again in another process, where `role` is set.
fn again(test: &str, program: &std::path::Path) -> std::process::Command {
    let mut command = std::process::Command::new(program);
    command.args([test, "--exact", "--nocapture"]).env("HOSTILE_ROLE", "inner").stdout(std::process::Stdio::piped());
    command
}

/// This program where everybody may execute it: the project may lie in root's home.
fn for_everybody() -> (tempfile::TempDir, std::path::PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let program = folder.path().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for path in [folder.path(), &program] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    (folder, program)
}

fn is_inner() -> bool {
    std::env::var_os("HOSTILE_ROLE").is_some()
}

#[tokio::test]
async fn instances_die_with_the_platform() {
    use std::io::{BufRead, BufReader};
    if is_inner() {
        let lab = Lab::new();
        let instance = lab.start("import time;time.sleep(600)").await;
        println!("\npid={}", instance.process.pid());
        std::future::pending::<()>().await;
    }
    let mut platform = again("instances_die_with_the_platform", &std::env::current_exe().unwrap()).spawn().unwrap();
    let mut lines = BufReader::new(platform.stdout.take().unwrap()).lines();
    let pid = lines.find_map(|line| Some(line.unwrap().strip_prefix("pid=")?.to_owned())).unwrap();
    assert!(std::fs::exists(format!("/proc/{pid}")).unwrap());
    platform.kill().unwrap();
    platform.wait().unwrap();
    until("the instance is gone", || {
        !std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
    })
    .await;
    // The next platform clears away the groups of the dead one.
    drop(Lab::new());
    let left = format!("/cumulet/{}-", platform.id());
    let groups = std::process::Command::new("find")
        .args(["/sys/fs/cgroup", "-type", "d", "-path", &format!("*{left}*")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&groups.stdout), "");
}

#[tokio::test]
async fn it_works_without_root() {
    use std::os::unix::process::CommandExt;
    if is_inner() {
        let lab = Lab::new();
        assert!(!lab.launcher.lacking().is_empty());
        lab.expect("import os;print(os.getuid(),os.getpid(),os.listdir('/tmp'))", "993 1 []").await;
        lab.refuses(&[
            ("open('/var/task/x','w')", "EROFS"),
            ("open('/proc/sys/kernel/core_pattern','w')", "EROFS"),
            ("os.listdir('/home')", "ENOENT"),
            ("call(165,0,0,0,0,0)", "EPERM"),
            ("os.setuid(0)", "EINVAL"),
        ])
        .await;
        let marker = format!("rootless-{}", std::process::id());
        let instance = lab.start(&format!("import time;m='{marker}';time.sleep(600)")).await;
        until("it runs", || !processes_with(&marker).is_empty()).await;
        assert!(instance.process.usage().memory_peak_bytes > 0);
        instance.process.stop().await;
        assert!(processes_with(&marker).is_empty());
        return;
    }
    let (_folder, program) = for_everybody();
    let mut command = again("it_works_without_root", &program);
    // Where the suite is not run by root anyway, the inner run is a repetition.
    if std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        command.uid(65534).gid(65534).env("TMPDIR", "/tmp");
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn a_failed_start_names_its_step_and_leaves_nothing() {
    let lab = Lab::new();
    let mut plan = lab.plan("");
    plan.argv = vec!["/var/task/absent".to_owned()];
    let error = lab.launcher.launch(plan).await.err().unwrap();
    assert_eq!(error.doing, "executing the runtime");
    assert_eq!(error.source.kind(), std::io::ErrorKind::NotFound);
    let mut plan = lab.plan("");
    plan.code_dir = lab.scratch.path().join("absent");
    assert!(lab.launcher.launch(plan).await.is_err());
}

#[tokio::test]
async fn many_start_and_stop_at_once() {
    let lab = Lab::new();
    let starts = (0..24).map(|_| lab.start("import time;print('up');time.sleep(600)"));
    let instances = futures_util::future::join_all(starts).await;
    assert!(instances.iter().all(|i| i.process.is_alive()));
    let pids: Vec<i32> = instances.iter().map(|i| i.process.pid()).collect();
    let stops = instances.into_iter().map(|i| i.process.stop());
    futures_util::future::join_all(stops).await;
    for pid in pids {
        assert!(!std::fs::exists(format!("/proc/{pid}")).unwrap());
    }
}
