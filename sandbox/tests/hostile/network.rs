//! What hostile code tries over the network.

use cumulet_sandbox::Network;

use crate::lab::Lab;

#[tokio::test]
async fn the_hosts_network_is_out_of_reach() {
    use std::os::linux::net::SocketAddrExt;
    let lab = Lab::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = format!("socket.create_connection(('127.0.0.1',{}),2)", listener.local_addr().unwrap().port());
    let name = format!("cumulet-hostile-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _abstract = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    let abstract_socket = format!("socket.socket(socket.AF_UNIX).connect('\\0{name}')");
    lab.refuses(&[
        (&connect, "ECONNREFUSED"),
        (&abstract_socket, "ECONNREFUSED"),
        ("socket.create_connection(('169.254.169.254',80),2)", "ENETUNREACH"),
        ("socket.create_connection(('10.0.0.1',80),2)", "ENETUNREACH"),
        ("socket.socket(socket.AF_INET,socket.SOCK_RAW,1)", "EPERM"),
        ("socket.socket(socket.AF_INET6,socket.SOCK_RAW,58)", "EPERM"),
        ("socket.socket(socket.AF_PACKET,socket.SOCK_RAW,3)", "EAFNOSUPPORT"),
        ("socket.socket(socket.AF_NETLINK,socket.SOCK_RAW,9)", "EAFNOSUPPORT"),
        ("socket.socket(socket.AF_NETLINK,socket.SOCK_RAW,0).close()", "None"),
        ("socket.socket(40,socket.SOCK_STREAM,0)", "EAFNOSUPPORT"),
        ("sorted(n for _,n in socket.if_nameindex() if n=='lo' or n.startswith('e'))", "['lo']"),
    ])
    .await;
}

/// A public server as seen from this machine: another network namespace with an address that is nobody's.
struct Outside {
    name: String,
    /// Of the host on the way there, of the server, and another of the server that is not public.
    near: String,
    public: String,
    private: String,
    server: Option<std::process::Child>,
    /// Of its addresses.
    _claim: std::os::unix::net::UnixListener,
}

fn command(program: &str, arguments: &str) {
    let output = std::process::Command::new(program).args(arguments.split(' ')).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments}: {error}");
}

impl Outside {
    fn new() -> Outside {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixListener};
        // Several tests share the machine, and several runs of them.
        let claim = |number: u32| {
            let name = SocketAddr::from_abstract_name(format!("cumulet-outside-{number}")).unwrap();
            Some((number, UnixListener::bind_addr(&name).ok()?))
        };
        let (number, claim) = (0..64).find_map(claim).expect("addresses that are nobody's");
        let net = number * 4;
        let mut outside = Outside {
            name: format!("outside{number}"),
            near: format!("203.0.113.{}", net + 1),
            public: format!("203.0.113.{}", net + 2),
            private: format!("10.99.{number}.2"),
            server: None,
            _claim: claim,
        };
        outside.set_up();
        outside
    }

    fn set_up(&mut self) {
        use std::io::BufRead;
        let Outside { name, near, public, private, server, .. } = self;
        let ip = |arguments: String| command("ip", &arguments);
        // A run that was killed leaves it behind.
        let _none = std::process::Command::new("ip").args(["netns", "del", name]).output();
        ip(format!("netns add {name}"));
        ip(format!("link add {name} type veth peer name eth0 netns {name}"));
        ip(format!("link set {name} up"));
        ip(format!("addr add {near}/30 dev {name}"));
        ip(format!("-n {name} link set eth0 up"));
        ip(format!("-n {name} addr add {public}/30 dev eth0"));
        ip(format!("-n {name} addr add {private}/32 dev eth0"));
        ip(format!("route add {private}/32 via {public} dev {name}"));
        let serve = "import socket;s=socket.create_server(('0.0.0.0',80));print('up',flush=True)\nwhile True:\n c,a=s.accept();c.send(a[0].encode());c.close()";
        let child = std::process::Command::new("ip")
            .args(["netns", "exec", name, "python3", "-c", serve])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufReader::new(server.insert(child).stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
        command("ip", &format!("link del {}", self.name));
        command("ip", &format!("netns del {}", self.name));
    }
}

#[tokio::test]
async fn the_way_out_leads_out_only() {
    use std::io::BufRead;
    let has = |name: &str| {
        ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
            .iter()
            .any(|directory| std::path::Path::new(directory).join(name).is_file())
    };
    let lab = Lab::with_network(Network::Internet);
    if !has("nft") || !has("ip") {
        // Then it has to say so, and to close up instead of opening without rules.
        let lacking = lab.launcher.lacking().join(" ");
        assert!(lacking.contains("no network but loopback"), "{lacking}");
        lab.refuses(&[("socket.create_connection(('203.0.113.2',80),2)", "ENETUNREACH")]).await;
        return;
    }
    let outside = Outside::new();
    let Outside { near, public, private, .. } = &outside;
    let (near, public, private) = (near.as_str(), public.as_str(), private.as_str());
    let host = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = host.local_addr().unwrap().port();
    let neighbour = lab
        .start("import socket;u=socket.socket(2,2);u.connect(('203.0.113.2',9));s=socket.create_server(('0.0.0.0',8080));print(u.getsockname()[0],flush=True);s.accept();print('reached')")
        .await;
    let mut address = String::new();
    std::io::BufReader::new(std::fs::File::from(neighbour.stdout.try_clone().unwrap()))
        .read_line(&mut address)
        .unwrap();
    let address = address.trim();
    assert!(address.starts_with("100.64."), "{address}");
    let reach =
        |address: &str, port: u16| format!("socket.create_connection(('{address}',{port}),1).recv(99).decode()");
    let calls = [
        // The server sees the host's address.
        (reach(public, 80), near),
        (reach(near, port), "timeout"),
        (reach("100.64.0.1", port), "timeout"),
        (reach(address, 8080), "timeout"),
        (reach("169.254.169.254", 80), "timeout"),
        (reach(private, 80), "timeout"),
        (reach("127.0.0.1", port), "ECONNREFUSED"),
    ];
    let table: Vec<(&str, &str)> = calls.iter().map(|(a, b)| (a.as_str(), *b)).collect();
    lab.refuses(&table).await;
    assert!(neighbour.process.is_alive(), "nobody may have reached it");
    neighbour.process.stop().await;
    let allow = Network::Allow(vec![format!("{private}/32").parse().unwrap()]);
    let lab = Lab::with_network(allow);
    let calls = [(reach(private, 80), near), (reach(public, 80), "timeout")];
    let table: Vec<(&str, &str)> = calls.iter().map(|(a, b)| (a.as_str(), *b)).collect();
    lab.refuses(&table).await;
}

/// Runs this test again as nobody, who may open `/dev/net/tun`, as everybody may on most machines.
fn again_as_nobody(test: &str, outside: &Outside) -> std::process::Output {
    let (folder, this) = crate::for_everybody();
    let (near, public, private) = (&outside.near, &outside.public, &outside.private);
    let script = format!(
        "mknod {tun} c 10 200 && chmod 666 {tun} && mount --bind {tun} /dev/net/tun && \
         exec setpriv --reuid 65534 --regid 65534 --clear-groups env TMPDIR=/tmp OUTSIDE={near},{public},{private} \
         HOSTILE_ROLE=inner {this} --exact {test} --nocapture",
        tun = folder.path().join("tun").display(),
        this = this.display(),
    );
    std::process::Command::new("unshare").args(["-m", "sh", "-c", &script]).output().unwrap()
}

#[tokio::test]
async fn the_way_out_without_root_leads_out_only() {
    const TEST: &str = "network::the_way_out_without_root_leads_out_only";
    if !crate::is_inner() {
        if std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) != 0 {
            // Namespaces for servers outside are root's to make; what such a user gets is seen without them, too.
            let lab = Lab::with_network(Network::Internet);
            let reach = "socket.create_connection(('169.254.169.254',80),2)";
            let refused = if lab.launcher.lacking().join(" ").contains("no network but loopback") {
                "ENETUNREACH"
            } else {
                "EHOSTUNREACH"
            };
            lab.refuses(&[(reach, refused)]).await;
            return;
        }
        let outside = Outside::new();
        let output = again_as_nobody(TEST, &outside);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        return;
    }
    let addresses = std::env::var("OUTSIDE").unwrap();
    let [near, public, private] = addresses.split(',').collect::<Vec<_>>()[..] else { panic!("{addresses}") };
    let host = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = host.local_addr().unwrap().port();
    let reach =
        |address: &str, port: u16| format!("socket.create_connection(('{address}',{port}),1).recv(99).decode()");
    let lab = Lab::with_network(Network::Internet);
    assert!(!lab.launcher.lacking().join(" ").contains("no network but loopback"), "{:?}", lab.launcher.lacking());
    let calls = [
        (reach(public, 80), near),
        (reach(near, port), "EHOSTUNREACH"),
        (reach(private, 80), "EHOSTUNREACH"),
        (reach("169.254.169.254", 80), "EHOSTUNREACH"),
        (reach("127.0.0.1", port), "ECONNREFUSED"),
        ("sorted(n for _,n in socket.if_nameindex() if n=='lo' or n.startswith('e'))".to_owned(), "['eth0', 'lo']"),
    ];
    let table: Vec<(&str, &str)> = calls.iter().map(|(a, b)| (a.as_str(), *b)).collect();
    lab.refuses(&table).await;
    // The relay's own addresses, behind which the host's loopback would be.
    for last in [2, 3] {
        let ran = lab.run(&crate::lab::attempts(&[&reach(&format!("100.64.0.{last}"), port)])).await;
        let got = ran.stdout.trim();
        assert!(["0=EHOSTUNREACH", "0=ENETUNREACH", "0=ECONNREFUSED", "0=timeout"].contains(&got), "{last}: {got}");
    }
    let allow = Network::Allow(vec![format!("{private}/32").parse().unwrap()]);
    let lab = Lab::with_network(allow);
    let calls = [(reach(private, 80), near), (reach(public, 80), "ENETUNREACH")];
    let table: Vec<(&str, &str)> = calls.iter().map(|(a, b)| (a.as_str(), *b)).collect();
    lab.refuses(&table).await;
    // The relay goes with its instance.
    let instance = lab.start("import time;print('up');time.sleep(600)").await;
    let relay = format!("/proc/{}/ns/user", instance.process.pid());
    crate::lab::until("its relay runs", || !crate::lab::processes_with(&relay).is_empty()).await;
    instance.process.stop().await;
    assert!(crate::lab::processes_with(&relay).is_empty());
}
