//! Settings of `cumulet up`. One precedence: flag, then environment variable, then TOML file, then default.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use cumulet_base::limits;
use cumulet_base::telemetry;
use cumulet_lambda::Registries;
use serde::Deserialize;

use crate::output::Failure;

/// Flags and environment variables; whatever is not given here may come from the file.
#[derive(Args)]
pub struct UpArgs {
    /// A TOML file with settings, named as the flags
    #[arg(long, env = "CUMULET_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// Each may be given as flag, variable or line of the file.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Address and port to listen on [default: 127.0.0.1:4566]
    #[arg(long, env = "CUMULET_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Where everything is kept [default: ~/.cumulet]
    #[arg(long, env = "CUMULET_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where the bytes of objects and code are kept: s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or az://CONTAINER/FOLDER
    /// [default: `blobs` in the data folder]
    #[arg(long, env = "CUMULET_BLOBS")]
    pub blobs: Option<String>,
    /// How that bucket is reached: `NAME=VALUE` in the words of the crate object_store, such as aws_endpoint; may be
    /// repeated. What is not named comes from the provider's variables, such as AWS_REGION
    #[arg(long = "blobs-option", env = "CUMULET_BLOBS_OPTIONS", value_delimiter = ',', hide_env_values = true)]
    #[serde(default)]
    pub blobs_options: Vec<String>,
    /// `text` or `json` [default: text]
    #[arg(long, env = "CUMULET_LOG_FORMAT", value_parser = clap::value_parser!(telemetry::Format))]
    pub log_format: Option<telemetry::Format>,
    /// error, warn, info, debug or trace [default: warn]
    #[arg(long, env = "CUMULET_LOG_LEVEL")]
    pub log_level: Option<String>,
    /// Access key of the owner; without it `test`/`test` is accepted, on loopback only
    #[arg(long, env = "CUMULET_ACCESS_KEY_ID")]
    pub access_key_id: Option<String>,
    /// Secret of the owner's access key
    #[arg(long, env = "CUMULET_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub secret_access_key: Option<String>,
    /// Account number, 12 digits [default: 000000000000]
    #[arg(long, env = "CUMULET_ACCOUNT")]
    pub account: Option<String>,
    /// Network of functions: `none`, `internet`, or `allow` for just the networks of --allow [default: internet]
    #[arg(long, env = "CUMULET_NETWORK")]
    pub network: Option<String>,
    /// A network functions may reach, such as 10.1.0.0/16; may be repeated
    #[arg(long, env = "CUMULET_ALLOW", value_delimiter = ',')]
    pub allow: Option<Vec<String>>,
    /// Instances at a time, of all functions together [default: 1000]
    #[arg(long, env = "CUMULET_INSTANCES_MAX")]
    pub instances_max: Option<usize>,
    /// Memory of all instances and templates together, in megabytes [default: half of the machine's]
    #[arg(long, env = "CUMULET_INSTANCES_MEMORY_MB")]
    pub instances_memory_mb: Option<u64>,
    /// Invocations of one account at a time [default: 1000]
    #[arg(long, env = "CUMULET_ACCOUNT_CONCURRENCY")]
    pub account_concurrency: Option<usize>,
    /// Seconds before an asynchronous event is tried a second and a third time [default: 60,120]
    #[arg(long, env = "CUMULET_EVENT_RETRY_SECONDS", value_delimiter = ',')]
    pub event_retry_seconds: Option<Vec<u64>>,
    /// Bytes of one streamed answer [default: 209715200]
    #[arg(long, env = "CUMULET_STREAM_BYTES_MAX")]
    pub stream_bytes_max: Option<u64>,
    /// The longest timeout a function may have, in seconds [default: 900]
    #[arg(long, env = "CUMULET_TIMEOUT_SECONDS_MAX")]
    pub timeout_seconds_max: Option<u32>,
    /// A folder of container images: OCI layouts, and archives as `docker save` writes them
    #[arg(long, env = "CUMULET_IMAGES_DIR")]
    pub images_dir: Option<PathBuf>,
    /// Registries that container images may be fetched from, such as ghcr.io or http://registry.lan:5000; `*` is any over TLS
    /// [default: none]
    #[arg(long, env = "CUMULET_REGISTRIES", value_delimiter = ',')]
    pub registries: Option<Vec<String>>,
    /// A file of credentials for registries, as `docker login` keeps them (`config.json`)
    #[arg(long, env = "CUMULET_REGISTRY_CREDENTIALS")]
    pub registry_credentials: Option<PathBuf>,
    /// Seconds after which an idle instance ends at the latest [default: 1800]
    #[arg(long, env = "CUMULET_IDLE_SECONDS")]
    pub idle_seconds: Option<u64>,
    /// A JSON file with a price sheet of your own
    #[arg(long, env = "CUMULET_PRICES")]
    pub prices: Option<PathBuf>,
    /// Run functions on the nearest interpreter when theirs is not on this machine, those for the other architecture too
    #[arg(long, env = "CUMULET_LENIENT_VERSIONS", num_args = 0..=1, default_missing_value = "true")]
    pub lenient_versions: Option<bool>,
    /// Of what instances of Node.js and Python functions are cloned: of the initialised function (`on`), of that where it
    /// asks for SnapStart and else of a booted runtime (`snapstart`), of a booted runtime (`runtime`), or not (`off`)
    /// [default: snapstart]
    #[arg(long, env = "CUMULET_CLONES", num_args = 0..=1, default_missing_value = "on")]
    pub clones: Option<Clones>,
    /// Make templates at a function's first start, not already when it is deployed
    #[arg(long, env = "CUMULET_TEMPLATES_LATE", num_args = 0..=1, default_missing_value = "true")]
    pub templates_late: Option<bool>,
    /// AWS's SDKs for functions that bring none, as `cumulet sdk install` puts them [default: `sdk` in the data folder]
    #[arg(long, env = "CUMULET_SDK_DIR")]
    pub sdk_dir: Option<PathBuf>,
    /// A file of certificates (PEM) of authorities that web endpoints are trusted by, besides the public ones
    #[arg(long, env = "CUMULET_TRUST")]
    pub trust: Option<PathBuf>,
    /// Interpreters by runtime, in the file only
    #[arg(skip)]
    #[serde(default)]
    pub interpreters: BTreeMap<String, PathBuf>,
}

/// Settings with nothing left open.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub blobs: Option<Keeper>,
    pub log_format: telemetry::Format,
    pub log_level: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub account: String,
    pub network: Network,
    pub instances_max: usize,
    pub instances_memory_mb: u64,
    pub account_concurrency: usize,
    pub event_retry_seconds: [u64; 2],
    pub stream_bytes_max: u64,
    pub timeout_seconds_max: u32,
    pub images_dir: Option<PathBuf>,
    pub registries: Registries,
    pub idle_seconds: u64,
    pub prices: Option<PathBuf>,
    pub lenient_versions: bool,
    pub clones: Clones,
    pub templates_late: bool,
    pub sdk_dir: PathBuf,
    pub trust: Option<PathBuf>,
    pub interpreters: BTreeMap<String, PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clones {
    Off,
    Runtime,
    Snapstart,
    On,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    None,
    Internet,
    Allow(Vec<String>),
}

/// The credentials everybody knows.
const WELL_KNOWN: &str = "test";

impl UpArgs {
    pub fn config(self) -> Result<Config, Failure> {
        let file = match &self.config {
            Some(path) => read(path)?,
            None => Settings::default(),
        };
        self.settings.or(file).config()
    }
}

fn read(path: &Path) -> Result<Settings, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::usage(format!("reading {}: {e}", path.display())))?;
    toml::from_str(&text).map_err(|e| Failure::usage(format!("{}: {}", path.display(), e.message())))
}

impl Settings {
    fn or(self, file: Settings) -> Settings {
        Settings {
            listen: self.listen.or(file.listen),
            data_dir: self.data_dir.or(file.data_dir),
            blobs: self.blobs.or(file.blobs),
            // The later one of a name goes first.
            blobs_options: [file.blobs_options, self.blobs_options].concat(),
            log_format: self.log_format.or(file.log_format),
            log_level: self.log_level.or(file.log_level),
            access_key_id: self.access_key_id.or(file.access_key_id),
            secret_access_key: self.secret_access_key.or(file.secret_access_key),
            account: self.account.or(file.account),
            network: self.network.or(file.network),
            allow: self.allow.or(file.allow),
            instances_max: self.instances_max.or(file.instances_max),
            instances_memory_mb: self.instances_memory_mb.or(file.instances_memory_mb),
            account_concurrency: self.account_concurrency.or(file.account_concurrency),
            stream_bytes_max: self.stream_bytes_max.or(file.stream_bytes_max),
            event_retry_seconds: self.event_retry_seconds.or(file.event_retry_seconds),
            timeout_seconds_max: self.timeout_seconds_max.or(file.timeout_seconds_max),
            images_dir: self.images_dir.or(file.images_dir),
            registries: self.registries.or(file.registries),
            registry_credentials: self.registry_credentials.or(file.registry_credentials),
            idle_seconds: self.idle_seconds.or(file.idle_seconds),
            prices: self.prices.or(file.prices),
            lenient_versions: self.lenient_versions.or(file.lenient_versions),
            clones: self.clones.or(file.clones),
            templates_late: self.templates_late.or(file.templates_late),
            sdk_dir: self.sdk_dir.or(file.sdk_dir),
            trust: self.trust.or(file.trust),
            interpreters: file.interpreters,
        }
    }

    fn config(self) -> Result<Config, Failure> {
        let listen = self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 4566)));
        let (access_key_id, secret_access_key) = match (self.access_key_id, self.secret_access_key) {
            (Some(id), Some(secret)) if !id.is_empty() && !secret.is_empty() => (id, secret),
            (None, None) => (WELL_KNOWN.to_owned(), WELL_KNOWN.to_owned()),
            _ => {
                return Err(Failure::usage(
                    "--access-key-id and --secret-access-key belong together, and may not be empty",
                ));
            }
        };
        if secret_access_key == WELL_KNOWN && !listen.ip().is_loopback() {
            return Err(Failure::usage(format!(
                "refusing to listen on {listen} while everybody knows the credentials: give --access-key-id and \
                 --secret-access-key, or listen on 127.0.0.1"
            )));
        }
        let account = self.account.unwrap_or_else(|| cumulet_base::arn::DEFAULT_ACCOUNT.to_owned());
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Failure::usage(format!("the account `{account}` has not 12 digits")));
        }
        let network = match (self.network.as_deref().unwrap_or("internet"), self.allow) {
            ("none", None) => Network::None,
            ("internet", None) => Network::Internet,
            ("allow", Some(allow)) if !allow.is_empty() => Network::Allow(allow),
            ("allow", _) => return Err(Failure::usage("--network allow needs at least one --allow")),
            ("none" | "internet", Some(_)) => return Err(Failure::usage("--allow goes with --network allow")),
            (other, _) => {
                return Err(Failure::usage(format!("the network `{other}` is none of none, internet, allow")));
            }
        };
        let data_dir = self.data_dir.map_or_else(default_data_dir, Ok)?;
        let blobs = blobs(self.blobs.as_deref(), &self.blobs_options)?;
        let event_retry_seconds = match self.event_retry_seconds.as_deref() {
            None => [60, 120],
            Some([first, second]) => [*first, *second],
            Some(_) => return Err(Failure::usage("--event-retry-seconds takes two numbers, such as 60,120")),
        };
        Ok(Config {
            listen,
            sdk_dir: self.sdk_dir.unwrap_or_else(|| data_dir.join("sdk")),
            data_dir,
            blobs,
            log_format: self.log_format.unwrap_or(telemetry::Format::Text),
            log_level: self.log_level.unwrap_or_else(|| "warn".into()),
            access_key_id,
            secret_access_key,
            account,
            network,
            instances_max: self.instances_max.unwrap_or(limits::INSTANCES_MAX).max(1),
            instances_memory_mb: self.instances_memory_mb.unwrap_or_else(half_of_memory_mb),
            account_concurrency: self.account_concurrency.unwrap_or(limits::FUNCTION_CONCURRENCY_MAX),
            stream_bytes_max: self.stream_bytes_max.unwrap_or(limits::STREAM_BYTES_MAX),
            event_retry_seconds,
            timeout_seconds_max: self.timeout_seconds_max.unwrap_or(limits::FUNCTION_TIMEOUT_S_MAX).max(1),
            images_dir: self.images_dir,
            registries: Registries::new(&self.registries.unwrap_or_default(), self.registry_credentials)
                .map_err(|name| Failure::usage(format!("the registry `{name}` is none")))?,
            idle_seconds: self.idle_seconds.unwrap_or(limits::INSTANCE_IDLE_MS / 1000),
            prices: self.prices,
            lenient_versions: self.lenient_versions.unwrap_or(false),
            clones: self.clones.unwrap_or(Clones::Snapstart),
            templates_late: self.templates_late.unwrap_or(false),
            trust: self.trust,
            interpreters: self.interpreters,
        })
    }
}

/// Where blobs are, and the options of who keeps them.
pub type Keeper = (cumulet_blobs::Address, Vec<(String, String)>);

fn blobs(address: Option<&str>, options: &[String]) -> Result<Option<Keeper>, Failure> {
    let Some(address) = address else {
        let is_alone = options.is_empty();
        return is_alone.then_some(None).ok_or_else(|| Failure::usage("--blobs-option goes with --blobs"));
    };
    let address = address.parse().map_err(|e: cumulet_blobs::NotAnAddress| Failure::usage(e.to_string()))?;
    let pairs = options.iter().map(|option| {
        let pair = option.split_once('=').ok_or_else(|| Failure::usage("--blobs-option takes NAME=VALUE"));
        pair.map(|(name, value)| (name.trim().to_owned(), value.to_owned()))
    });
    Ok(Some((address, pairs.collect::<Result<_, _>>()?)))
}

pub fn default_data_dir() -> Result<PathBuf, Failure> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    home.map(|home| PathBuf::from(home).join(".cumulet"))
        .ok_or_else(|| Failure::usage("give --data-dir: HOME is not set"))
}

fn half_of_memory_mb() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    total.unwrap_or(4 << 20) / 2 / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(toml: &str) -> Result<Config, String> {
        toml::from_str::<Settings>(toml).map_err(|e| e.message().to_owned())?.config().map_err(|f| f.message)
    }

    #[test]
    fn flags_win_over_the_file() {
        let flags = Settings { idle_seconds: Some(1), ..Settings::default() };
        let file = Settings { idle_seconds: Some(2), account: Some("123456789012".into()), ..Settings::default() };
        let config = Settings { data_dir: Some("/d".into()), ..flags }.or(file).config().unwrap();
        assert_eq!((config.idle_seconds, config.account.as_str()), (1, "123456789012"));
    }

    #[test]
    fn a_bucket_for_blobs() {
        let of = |toml: &str| settings(&format!("data-dir = '/d'\n{toml}")).map(|config| config.blobs);
        assert_eq!(of(""), Ok(None));
        let (address, options) = of("blobs = 's3://b/f'\nblobs-options = ['aws_region=x', 'a=b=c']").unwrap().unwrap();
        assert_eq!(address.to_string(), "s3://b/f");
        assert_eq!(options[1], ("a".to_owned(), "b=c".to_owned()));
        for bad in ["blobs = '/d/blobs'", "blobs = 's3://b'\nblobs-options = ['x']", "blobs-options = ['a=b']"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn well_known_credentials_stay_on_loopback() {
        assert!(settings("data-dir = '/d'\nlisten = '127.0.0.1:1'").is_ok());
        assert!(settings("data-dir = '/d'\nlisten = '[::1]:1'").is_ok());
        assert!(settings("data-dir = '/d'\nlisten = '0.0.0.0:1'").unwrap_err().contains("refusing"));
        assert!(
            settings("data-dir = '/d'\nlisten = '0.0.0.0:1'\naccess-key-id = 'a'\nsecret-access-key = 'test'").is_err()
        );
        assert!(
            settings("data-dir = '/d'\nlisten = '0.0.0.0:1'\naccess-key-id = 'a'\nsecret-access-key = 'b'").is_ok()
        );
    }

    #[test]
    fn bad_settings_are_named() {
        for (toml, part) in [
            ("account = '1'", "12 digits"),
            ("network = 'x'", "none of"),
            ("network = 'allow'", "--allow"),
            ("access-key-id = 'a'", "belong together"),
            ("colour = 1", "colour"),
        ] {
            let error = settings(toml).unwrap_err();
            assert!(error.contains(part), "{toml}: {error}");
        }
    }
}
