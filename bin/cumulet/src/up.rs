//! `cumulet up`: wires the parts together, says where it is, serves until told to stop, and drains. No logic of its own.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use cumulet_base::clock::{Clock, SystemClock};
use cumulet_base::{id, limits, telemetry};
use cumulet_blobs::Blobs;
use cumulet_delivery::Delivery;
use cumulet_engine::catalog::{Invoker, Sessions};
use cumulet_engine::record::{LogSink, MeterSink};
use cumulet_engine::{Bounds, Engine, Ports};
use cumulet_lambda::mappings::Mappings;
use cumulet_sandbox::{LinuxSandbox, SandboxConfig};
use cumulet_store::Store;
use cumulet_store_embedded::EmbeddedStore;
use cumulet_wire::auth::{Authorizer, Caller, Credentials};
use cumulet_wire::client::Client;
use cumulet_wire::data_plane::{DataPlane, HttpRequest};
use cumulet_wire::error::ApiError;
use cumulet_wire::front::{self, Front, Parts};
use cumulet_wire::operation::Registry;
use cumulet_wire::raw::RawService;
use cumulet_wire::tls::{self, Authority};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::config::{Clones, Config, Network, UpArgs};
use crate::output::{self, Failure, Format};

pub fn run(args: UpArgs, format: Format) -> Result<(), Failure> {
    let config = args.config()?;
    let level =
        config.log_level.parse().map_err(|_| Failure::usage(format!("`{}` is no log level", config.log_level)))?;
    telemetry::install(config.log_format, level);
    raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::new(format!("starting: {e}")))?;
    let result = runtime.block_on(serve(config, format));
    // What is still blocked in the background belongs to nobody any more.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// Ten thousand connections need as many descriptors; the default is often 1024.
#[allow(clippy::cast_possible_truncation)]
fn raise_open_files() {
    if let Err(e) = cumulet_sandbox::raise_open_files(2 * limits::CONNECTIONS_MAX as u64) {
        tracing::warn!(error = %e, "the limit of open files stays as it is");
    }
}

async fn serve(config: Config, format: Format) -> Result<(), Failure> {
    let began = std::time::Instant::now();
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|e| Failure::new(format!("listening on {}: {e}", config.listen)))?;
    let address = listener.local_addr().map_err(|e| Failure::new(format!("listening on {}: {e}", config.listen)))?;
    // The port that was found is what instances are told.
    let config = Config { listen: address, ..config };
    let cloud = Cloud::new(&config).await?;
    let (stop, stopped) = watch::channel(false);
    let server = tokio::spawn(cloud.front.clone().serve(listener, stopped));
    // Before anybody is told that it is there, and may tell it to go.
    let mut signals = Signals::listen()?;
    announce(&config, &address.to_string(), began.elapsed(), format);
    signals.next().await;
    tracing::info!("draining");
    cloud.delivery.halt();
    cloud.mappings.halt();
    let _front_gone_already = stop.send(true);
    // Asked a second time, it does not wait for what still runs.
    tokio::select! {
        () = cloud.engine.drain() => {}
        () = signals.next() => cloud.engine.flush().await,
    }
    // Connections that idle clients keep open do not hold the end up.
    let _cut_off = tokio::time::timeout(Duration::from_secs(2), server).await;
    // What became of them is written down while the store is open; what is not is carried out again.
    let _carried_out_again = tokio::time::timeout(Duration::from_secs(2), cloud.delivery.settled()).await;
    // What the last requests left behind.
    cloud.engine.flush().await;
    cloud.tables.flush().await;
    cloud.usage.flush().await;
    cloud.measured.hand_over();
    cloud.gateway.flush().await;
    cloud.watch.flush().await;
    cloud.store.close().await.map_err(|e| Failure::new(format!("closing the store: {e}")))
}

/// What asks the program to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Signals, Failure> {
        let failed = |e: io::Error| Failure::new(format!("listening for signals: {e}"));
        let of = |kind| signal(kind).map_err(failed);
        Ok(Signals { terminate: of(SignalKind::terminate())?, interrupt: of(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn announce(config: &Config, address: &str, took: Duration, format: Format) {
    let endpoint = format!("http://{address}");
    let data_dir = config.data_dir.display().to_string();
    match format {
        Format::Json => output::line(
            &json!({ "endpoint": endpoint, "accessKeyId": config.access_key_id, "account": config.account, "dataDir": data_dir, "readyMs": took.as_millis() as u64 })
                .to_string(),
        ),
        Format::Text => {
            let secret = if config.secret_access_key == "test" { "test" } else { "(as configured)" };
            output::line(&format!("Cumulet is ready after {} ms", took.as_millis()));
            output::line(&format!("  endpoint     {endpoint}"));
            output::line(&format!("  credentials  {} / {secret}", config.access_key_id));
            output::line(&format!("  data         {data_dir}"));
        }
    }
}

/// All parts, wired.
struct Cloud {
    front: Arc<Front>,
    engine: Engine,
    delivery: Arc<Delivery>,
    mappings: Mappings,
    store: Arc<dyn Store>,
    tables: Arc<cumulet_dynamodb::DynamoDb>,
    usage: Arc<cumulet_meter::UsageSums>,
    measured: Arc<cumulet_meter::Measuring<cumulet_meter::UsageSums>>,
    watch: Arc<cumulet_cloudwatch::CloudWatch>,
    gateway: Arc<cumulet_apigateway::ApiGateway>,
}

impl Cloud {
    async fn new(config: &Config) -> Result<Cloud, Failure> {
        let failed = |what: &str, e: &dyn std::fmt::Display| Failure::new(format!("{what}: {e}"));
        prepare(&config.data_dir).map_err(|e| failed(&format!("preparing {}", config.data_dir.display()), &e))?;
        if let Some(path) = &config.trust {
            let trusted =
                std::fs::read(path).map_err(|e| e.to_string()).and_then(|pem| cumulet_wire::outbound::trust(&pem));
            trusted.map_err(|e| failed(&format!("trusting the authorities of {}", path.display()), &e))?;
        }
        let secret = secret(&config.data_dir.join("secret")).map_err(|e| failed("reading the secret", &e))?;
        let store: Arc<dyn Store> =
            EmbeddedStore::open(&config.data_dir).map_err(|e| failed("opening the store", &e))?;
        forget_code(&config.data_dir).map_err(|e| failed("clearing the unpacked code", &e))?;
        let blobs = Arc::new(open_blobs(config, &secret).await?);
        let object_blobs = blobs.clone();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);

        let owner = cumulet_iam::Owner {
            account: config.account.clone(),
            access_key_id: config.access_key_id.clone(),
            secret_access_key: config.secret_access_key.clone(),
        };
        let access = Arc::new(cumulet_iam::Access::new(store.clone(), owner, clock.clone()));
        let client = Client::default();
        let delivery = Delivery::new(store.clone(), clock.clone());
        let logs: Arc<dyn LogSink> =
            Arc::new(cumulet_logs::Sink::start(store.clone(), clock.clone(), Some(delivery.clone())));
        let watch = Arc::new(cumulet_cloudwatch::CloudWatch::new(cumulet_cloudwatch::Ports {
            store: store.clone(),
            clock: clock.clone(),
            client: client.clone(),
            delivery: delivery.clone(),
        }));
        let usage = cumulet_meter::UsageSums::start(store.clone());
        let measured = Arc::new(cumulet_meter::Measuring::new(usage.clone(), watch.sink()));
        let meter: Arc<dyn MeterSink> =
            Arc::new(cumulet_meter::Sink::start(store.clone(), clock.clone(), Some(watch.sink())));

        let authority = Authority::open(&config.data_dir, clock.now_ms());
        let authority = authority.map_err(|e| failed("opening the certificate authority", &e))?;
        let tls = authority.server(clock.now_ms()).map_err(|e| failed("making a certificate", &e))?;
        // For the hosts of runtimes that bring authorities of their own.
        fs::copy(config.data_dir.join("authority.pem"), config.data_dir.join("runtime/authority.pem"))
            .map_err(|e| failed("handing out the certificate authority", &e))?;
        let door: Arc<OnceLock<Arc<Front>>> = Arc::default();
        let mut sandbox = sandbox_config(config, door.clone())?;
        sandbox.authority = Some(cumulet_sandbox::Authority { pem: authority.pem, openssl_hash: tls::OPENSSL_HASH });
        let sandbox = Arc::new(LinuxSandbox::new(sandbox).map_err(|e| failed("preparing the sandbox", &e))?);
        let ports = Ports {
            sandbox,
            sessions: access.clone() as Arc<dyn Sessions>,
            logs: logs.clone(),
            meter,
            blobs: blobs.clone(),
            clock: clock.clone(),
        };
        let engine = Engine::new(ports, engine_config(config));

        let functions = Arc::new(cumulet_lambda::Functions::new(store.clone(), &secret));
        engine.connect(functions.clone());
        let code: Arc<dyn cumulet_lambda::CodeStore> = blobs.clone();
        let links = cumulet_lambda::Links::new(secret);
        let invoker: Arc<dyn Invoker> = Arc::new(engine.clone());
        let mappings = Mappings::new(cumulet_lambda::mappings::Ports {
            store: store.clone(),
            functions: functions.clone(),
            invoker: invoker.clone(),
            client: client.clone(),
            clock: clock.clone(),
        });
        let lambda = cumulet_lambda::Lambda::new(
            cumulet_lambda::Ports {
                functions: functions.clone(),
                store: store.clone(),
                code: code.clone(),
                invoker: invoker.clone(),
                links: links.clone(),
                client: client.clone(),
                delivery: delivery.clone(),
                clock: clock.clone(),
            },
            cumulet_lambda::Settings {
                account_concurrency: config.account_concurrency,
                event_retry_ms: [config.event_retry_seconds[0] * 1000, config.event_retry_seconds[1] * 1000],
                timeout_s_max: config.timeout_seconds_max,
                is_lenient: config.lenient_versions,
                images_dir: config.images_dir.clone(),
                registries: config.registries.clone(),
            },
        );
        let lambda = Arc::new(lambda.with_mappings(mappings.clone()));
        let gateway = Arc::new(cumulet_apigateway::ApiGateway::new(
            store.clone(),
            invoker.clone(),
            logs,
            Arc::new(SignedRequests(access.clone())),
            Some(watch.sink()),
        ));
        let stacks = Arc::new(cumulet_cloudformation::CloudFormation::new(
            store.clone(),
            clock.clone(),
            delivery.clone(),
            client.clone(),
            cumulet_sandbox::PLATFORM_TLS_ENDPOINT,
        ));
        let tables =
            Arc::new(cumulet_dynamodb::DynamoDb::new(store.clone(), clock.clone(), measured.clone(), client.clone()));
        tables.start();
        let objects = Arc::new(cumulet_s3::S3::new(cumulet_s3::Ports {
            store: store.clone(),
            blobs: object_blobs,
            credentials: access.clone(),
            authorizer: access.clone(),
            clock: clock.clone(),
            delivery: delivery.clone(),
            client: client.clone(),
            usage: measured.clone(),
        }));
        let topics = Arc::new(cumulet_sns::Sns::new(store.clone(), clock.clone(), delivery.clone(), client.clone()));
        let registry = Registry::default()
            .with(objects.face())
            .with(lambda.clone())
            .with(Arc::new(cumulet_iam::Iam::new(store.clone())))
            .with(Arc::new(cumulet_sts::Sts::new(Arc::new(Roles(access.clone())))))
            .with(Arc::new(cumulet_logs::Logs::new(store.clone(), clock.clone(), client.clone(), delivery.clone())))
            .with(topics.clone())
            .with(Arc::new(cumulet_sqs::Sqs::new(store.clone(), clock.clone(), delivery.clone())))
            .with(Arc::new(cumulet_scheduler::Scheduler::new(
                store.clone(),
                clock.clone(),
                client.clone(),
                delivery.clone(),
            )))
            .with(Arc::new(cumulet_events::Events::new(
                store.clone(),
                clock.clone(),
                client.clone(),
                delivery.clone(),
                &secret,
            )))
            .with(Arc::new(cumulet_ecr::Ecr))
            .with(Arc::new(cumulet_cloudcontrol::CloudControl(client.clone())))
            .with(Arc::new(cumulet_secretsmanager::SecretsManager::new(store.clone(), &secret)))
            .with(watch.clone())
            .with(Arc::new(cumulet_codedeploy::CodeDeploy::new(
                store.clone(),
                clock.clone(),
                client.clone(),
                delivery.clone(),
            )))
            .with(Arc::new(cumulet_kms::Kms::new(store.clone(), &secret)))
            .with(Arc::new(cumulet_ssm::Ssm::new(store.clone(), &secret)))
            .with(tables.clone())
            .with(Arc::new(tables.streams()))
            .with(Arc::new(cumulet_meter::Meter::new(store.clone(), prices(config)?)))
            .with(gateway.clone())
            .with(Arc::new(gateway.rest_apis()))
            .with(stacks.clone())
            .with(Arc::new(cumulet_platform::Platform::new(blobs, engine.clone(), config.listen.ip())));
        stacks.connect(registry.clone(), access.clone());
        client.connect(registry.clone(), access.clone(), clock.clone());
        delivery.start();
        gateway.make_ready().await.map_err(|e| failed("reading the domain names of APIs", &e))?;
        watch.start();
        cumulet_meter::sample(engine.clone(), measured.clone(), watch.sink(), clock.clone());
        gateway.start();
        lambda.make_ready().await.map_err(|e| failed("reading which instances are to be ready", &e))?;
        mappings.start().await.map_err(|e| failed("beginning event source mappings", &e))?;
        stacks.recover().await.map_err(|e| failed("resuming stacks", &e))?;
        let planes: Vec<Arc<dyn DataPlane>> = vec![
            gateway.clone(),
            Arc::new(stacks.reply_plane()),
            Arc::new(stacks.signal_plane()),
            Arc::new(topics.links()),
            Arc::new(cumulet_lambda::UrlPlane::new(functions, invoker, Arc::new(SignedUrls(access.clone())))),
            Arc::new(cumulet_lambda::CodePlane::new(code, links)),
            Arc::new(cumulet_platform::Health),
        ];
        objects.start();
        let objects: Arc<dyn RawService> = objects;
        let parts = Parts {
            registry,
            planes,
            raw: vec![objects],
            credentials: access.clone() as Arc<dyn Credentials>,
            authorizer: access as Arc<dyn Authorizer>,
            clock,
            tls: Some(tls),
        };
        let front = door.get_or_init(|| Arc::new(Front::new(parts))).clone();
        Ok(Cloud { front, engine, delivery, mappings, store, tables, usage, measured, watch, gateway })
    }
}

/// In the data folder, or in the bucket that was named. Which of them is written down: with another one, everything that
/// is named would be missing.
async fn open_blobs(config: &Config, secret: &[u8; 32]) -> Result<Blobs, Failure> {
    let folder = config.data_dir.join("blobs");
    let failed = |e: &dyn std::fmt::Display| Failure::new(format!("opening the blobs: {e}"));
    let place = folder.join("place");
    let named = config.blobs.as_ref().map(|(address, _)| address.to_string());
    let before = match fs::read_to_string(&place) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(failed(&e)),
    };
    let has_files = || ["sha256", "stream"].iter().any(|kind| has_entries(&folder.join(kind)));
    if before != named && (before.is_some() || has_files()) {
        let there = before.unwrap_or_else(|| folder.display().to_string());
        let told = place.display();
        return Err(failed(&format!(
            "those of this data folder are in {there}: move them, and have {told} say where they are"
        )));
    }
    let Some((address, options)) = &config.blobs else { return Blobs::local(&folder).map_err(|e| failed(&e)) };
    let access = cumulet_blobs::Access {
        options: options.clone(),
        environment: environment(),
        tls: cumulet_wire::outbound::tls(),
    };
    // Not the secret itself: others may read the bucket.
    let owner = cumulet_blobs::Digest::of(&[b"owner of blobs", secret.as_slice()].concat()).to_string();
    let blobs = Blobs::bucket(address, &access, &owner).await.map_err(|e| failed(&told_whole(&e)))?;
    fs::write(&place, format!("{address}\n")).map_err(|e| failed(&e))?;
    Ok(blobs)
}

/// Variables that are text, as the others are nobody's settings.
fn environment() -> Vec<(String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

fn has_entries(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

/// An error with what it comes from.
fn told_whole(e: &dyn std::error::Error) -> String {
    let mut told = e.to_string();
    let mut source = e.source();
    while let Some(e) = source {
        told = format!("{told}: {e}");
        source = e.source();
    }
    told
}

/// Folders that only their owner may read; the runtimes' files are laid out anew, so that they are this program's.
fn prepare(data_dir: &Path) -> io::Result<()> {
    let mut private = fs::DirBuilder::new();
    private.recursive(true).mode(0o700);
    for folder in ["", "blobs", "sandbox"] {
        private.create(data_dir.join(folder))?;
    }
    // Places for the SDKs to appear at.
    for folder in cumulet_sandbox::SDK_FOLDERS {
        fs::create_dir_all(data_dir.join("runtime").join(folder))?;
    }
    for (path, bytes) in cumulet_runtimes::files() {
        let path = data_dir.join("runtime").join(path);
        fs::create_dir_all(path.parent().unwrap_or(data_dir))?;
        if fs::read(&path).ok().as_deref() != Some(bytes) {
            fs::write(&path, bytes)?;
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Unpacked code is a cache, and one that was being written when the power went may be torn: each start begins without.
fn forget_code(data_dir: &Path) -> io::Result<()> {
    let old = data_dir.join(format!("code-old-{}", id::hex(8)));
    match fs::rename(data_dir.join("code"), &old) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let olds: Vec<_> = fs::read_dir(data_dir)?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("code-old-"))
        .map(|entry| entry.path())
        .collect();
    tokio::task::spawn_blocking(move || {
        for old in olds {
            if let Err(e) = fs::remove_dir_all(&old) {
                tracing::warn!(error = %e, folder = %old.display(), "clearing unpacked code");
            }
        }
    });
    Ok(())
}

/// What sessions and download links are signed with; made at the first start.
fn secret(path: &Path) -> io::Result<[u8; 32]> {
    match fs::read(path) {
        Ok(bytes) => bytes.try_into().map_err(|_| io::Error::other(format!("{} is damaged", path.display()))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let secret = id::random::<32>();
            let part = path.with_extension("part");
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
            io::Write::write_all(&mut file, &secret)?;
            file.sync_all()?;
            fs::rename(&part, path)?;
            Ok(secret)
        }
        Err(e) => Err(e),
    }
}

fn prices(config: &Config) -> Result<cumulet_meter::Prices, Failure> {
    let Some(path) = &config.prices else { return Ok(cumulet_meter::Prices::default()) };
    let bad = |e: &dyn std::fmt::Display| Failure::usage(format!("{}: {e}", path.display()));
    let text = fs::read(path).map_err(|e| bad(&e))?;
    serde_json::from_slice(&text).map_err(|e| bad(&e))
}

/// Their part of the memory for instances.
fn templates_bytes(config: &Config) -> u64 {
    if config.clones == Clones::Off {
        return 0;
    }
    (config.instances_memory_mb << 20) / 100 * limits::TEMPLATES_MEMORY_PERCENT
}

fn engine_config(config: &Config) -> cumulet_engine::Config {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cumulet_engine::Config {
        code_folder: config.data_dir.join("code"),
        bounds: Bounds {
            instances_max: config.instances_max,
            memory_bytes_max: (config.instances_memory_mb << 20) - templates_bytes(config),
            starting_max: cores,
            cloning_max: 4 * cores,
            processors: cores,
        },
        account_concurrency: config.account_concurrency,
        idle_max: Duration::from_secs(config.idle_seconds),
        init_timeout: Duration::from_millis(limits::INSTANCE_INIT_TIMEOUT_MS),
        stream_bytes_max: config.stream_bytes_max,
    }
}

fn sandbox_config(config: &Config, front: Arc<OnceLock<Arc<Front>>>) -> Result<SandboxConfig, Failure> {
    let mut sandbox = SandboxConfig::new(config.data_dir.join("sandbox"), config.data_dir.join("runtime"));
    sandbox.network = match &config.network {
        Network::None => cumulet_sandbox::Network::None,
        Network::Internet => cumulet_sandbox::Network::Internet,
        Network::Allow(ranges) => {
            let parsed: Result<Vec<_>, _> = ranges.iter().map(|range| range.parse()).collect();
            cumulet_sandbox::Network::Allow(
                parsed.map_err(|e: cumulet_sandbox::NotCidr| Failure::usage(e.to_string()))?,
            )
        }
    };
    sandbox.file_systems_dir = config.data_dir.join("filesystems");
    sandbox.sdk_dir = Some(config.sdk_dir.clone());
    sandbox.lenient_versions = config.lenient_versions;
    sandbox.clones = match config.clones {
        Clones::Off => cumulet_sandbox::Clones::Off,
        Clones::Runtime => cumulet_sandbox::Clones::Runtime,
        Clones::Snapstart => cumulet_sandbox::Clones::SnapStart,
        Clones::On => cumulet_sandbox::Clones::On,
    };
    sandbox.templates_at_deploy = !config.templates_late;
    sandbox.templates_bytes_max = templates_bytes(config);
    sandbox.interpreters = config.interpreters.values().cloned().collect();
    sandbox.platform_port = Some(config.listen.port());
    sandbox.platform = Some(Arc::new(move |stream: std::net::TcpStream, _spec| {
        let Some(front) = front.get().cloned() else { return };
        let connected = stream.peer_addr().and_then(|peer| Ok((peer, tokio::net::TcpStream::from_std(stream)?)));
        match connected {
            Ok((peer, stream)) => {
                tokio::spawn(front.serve_stream(stream, peer));
            }
            Err(e) => tracing::warn!(error = %e, "taking a sandbox's connection"),
        }
    }));
    Ok(sandbox)
}

/// STS hands out sessions of the roles that IAM keeps.
struct Roles(Arc<cumulet_iam::Access>);

#[async_trait]
impl cumulet_sts::Roles for Roles {
    async fn assume(
        &self,
        caller: &Caller,
        role_arn: &str,
        session_name: &str,
        duration_s: u64,
    ) -> Result<cumulet_sts::Session, ApiError> {
        let assumed = self.0.assume_role(caller, role_arn, session_name, duration_s).await?;
        Ok(cumulet_sts::Session {
            access_key_id: assumed.credentials.access_key_id,
            secret_access_key: assumed.credentials.secret_access_key,
            session_token: assumed.credentials.session_token,
            expires_ms: assumed.expires_ms,
            arn: assumed.arn,
            user_id: assumed.user_id,
        })
    }
}

/// The same of methods and routes of APIs.
struct SignedRequests(Arc<cumulet_iam::Access>);

#[async_trait]
impl cumulet_apigateway::Verifier for SignedRequests {
    async fn verify(&self, request: &HttpRequest, resource: &str) -> Option<Caller> {
        let caller = front::caller_of(&*self.0, "execute-api", request).await.ok()?;
        self.0.authorize(&caller, "execute-api:Invoke", resource).await.is_ok().then_some(caller)
    }
}

/// Function URLs that ask for a signature ask who signed, and whether they may.
struct SignedUrls(Arc<cumulet_iam::Access>);

#[async_trait]
impl cumulet_lambda::UrlVerifier for SignedUrls {
    async fn verify(&self, request: &HttpRequest, function_arn: &str) -> Option<Caller> {
        let caller = front::caller_of(&*self.0, "lambda", request).await.ok()?;
        let is_allowed = self.0.authorize(&caller, "lambda:InvokeFunctionUrl", function_arn).await.is_ok();
        is_allowed.then_some(caller)
    }
}
