//! Terraform with AWS's provider, unmodified, where both are on the machine: neither can be had from a package registry.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cumulet_tests::deploy::{application, is_nothing_left};
use cumulet_tests::{Cloud, eventually, output, python_runtime, root, succeed};
use serde_json::{Value, json};

/// Below the name of the registry it came from.
const PROVIDER: &str = "hashicorp/aws/5.100.0";

/// The folder of a mirror with the provider, as `terraform providers mirror` makes one: named by `TF_PLUGIN_MIRROR`, or in one of
/// the places that Terraform looks at by itself, or below `/opt`.
fn mirror() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".terraform.d/plugins"));
    let usual = ["/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins"].map(PathBuf::from);
    let below_opt = std::fs::read_dir("/opt").into_iter().flatten().flatten().map(|entry| entry.path());
    let named = std::env::var_os("TF_PLUGIN_MIRROR").map(PathBuf::from);
    let is_mirror = |folder: &PathBuf| {
        let mut registries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        registries.any(|registry| registry.path().join(PROVIDER).is_dir())
    };
    named.into_iter().chain(home).chain(usual).chain(below_opt).find(is_mirror)
}

struct Terraform<'a> {
    cloud: &'a Cloud,
    folder: &'a Path,
    settings: PathBuf,
}

impl Terraform<'_> {
    fn output(&self, arguments: &[&str], greeting: &str) -> Output {
        let mut command = self.cloud.command("terraform");
        command.args(arguments).current_dir(self.folder).env("TF_CLI_CONFIG_FILE", &self.settings);
        command.env("TF_IN_AUTOMATION", "1").env("CHECKPOINT_DISABLE", "1").env("TF_CLI_ARGS", "-no-color");
        command.env("TF_VAR_greeting", greeting).env("TF_VAR_runtime", python_runtime());
        output(&mut command)
    }

    fn run(&self, arguments: &[&str], greeting: &str) -> String {
        let done = self.output(arguments, greeting);
        let text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{arguments:?}: {text}");
        text
    }

    /// Nothing to do: 0; something: 2.
    fn plans(&self, greeting: &str) -> Option<i32> {
        self.output(&["plan", "-detailed-exitcode"], greeting).status.code()
    }
}

/// One application deployed, looked at, updated and removed.
#[test]
fn an_application_comes_changes_and_goes() {
    let has_program = Command::new("terraform").arg("-version").output().is_ok_and(|done| done.status.success());
    let Some(mirror) = mirror().filter(|_| has_program) else {
        let what = if has_program { PROVIDER } else { "the program `terraform`" };
        println!("SKIPPED an_application_comes_changes_and_goes: {what} is not on this machine");
        return;
    };
    let cloud = Cloud::start();
    let folder = application("terraform");
    let zip = "import zipfile; zipfile.ZipFile('code.zip', 'w').write('app.py')";
    succeed(Command::new("python3").args(["-c", zip]).current_dir(folder.path()));
    let settings = folder.path().join("settings.tfrc");
    let text =
        format!("provider_installation {{\n  filesystem_mirror {{ path = {:?} }}\n}}\n", mirror.display().to_string());
    std::fs::write(&settings, text).expect("the settings of Terraform");
    let terraform = Terraform { cloud: &cloud, folder: folder.path(), settings };
    terraform.run(&["init"], "hello");
    terraform.run(&["apply", "-auto-approve"], "hello");
    assert_eq!(terraform.plans("hello"), Some(0), "no changes after it was applied");
    let value = |name: &str| terraform.run(&["output", "-raw", name], "hello");
    let greeting = || {
        let body = cloud.curl(&[], &value("api")).stdout;
        serde_json::from_slice::<Value>(&body).unwrap_or_default()["greeting"].clone()
    };
    assert_eq!((greeting(), value("account")), (json!("hello"), "000000000000".to_owned()));
    // The provider makes up the address by itself, on AWS.
    let rest = format!("{}/_cumulet/api/{}/live/orders", cloud.endpoint, value("rest"));
    let key = format!("x-api-key: {}", value("key"));
    let order = |body: &str| {
        let more =
            ["-o", "/dev/null", "-w", "%{http_code}", "-H", &key, "-H", "content-type: application/json", "-d", body];
        String::from_utf8_lossy(&cloud.curl(&more, &rest).stdout).into_owned()
    };
    assert_eq!((order("{}"), order(r#"{"item":"x"}"#)), ("400".to_owned(), "200".to_owned()));
    assert_eq!(terraform.plans("bye"), Some(2));
    terraform.run(&["apply", "-auto-approve"], "bye");
    assert_eq!(greeting(), "bye");
    let file = cloud.folder.path().join("file.txt").to_string_lossy().into_owned();
    std::fs::write(&file, "x").expect("writing a file");
    cloud.aws(&["s3api", "put-object", "--bucket", "shop-uploads", "--key", "file.txt", "--body", &file]);
    cloud.aws(&["sqs", "send-message", "--queue-url", &value("tasks"), "--message-body", "an ERROR"]);
    let group = "/aws/lambda/shop-work";
    eventually("upload and message ran the function", || {
        let said = cloud.aws(&["logs", "filter-log-events", "--log-group-name", group]).to_string();
        said.contains("uploaded file.txt") && said.contains("asked for an ERROR")
    });
    eventually("the error was counted", || {
        let metrics = cloud.aws(&["cloudwatch", "list-metrics", "--namespace", "Shop"]);
        metrics["Metrics"][0]["MetricName"] == "errors"
    });
    assert_eq!(terraform.plans("bye"), Some(0), "what has run is no change");
    terraform.run(&["destroy", "-auto-approve"], "bye");
    is_nothing_left(&cloud);
    for (arguments, member) in [
        (["s3api", "list-buckets"], "Buckets"),
        (["logs", "describe-log-groups"], "logGroups"),
        (["scheduler", "list-schedules"], "Schedules"),
        (["events", "list-rules"], "Rules"),
        (["sns", "list-topics"], "Topics"),
        (["cloudwatch", "describe-alarms"], "MetricAlarms"),
        (["lambda", "list-event-source-mappings"], "EventSourceMappings"),
        (["apigateway", "get-usage-plans"], "items"),
        (["apigateway", "get-api-keys"], "items"),
    ] {
        assert_eq!(cloud.aws(&arguments)[member], json!([]), "{arguments:?}");
    }
    assert!(cloud.aws(&["sqs", "list-queues"])["QueueUrls"].is_null());
}

/// The provider's own questions, asked by boto3.
#[test]
fn the_provider_is_told_what_it_needs() {
    let cloud = Cloud::start();
    let mut script = cloud.command(root().join(".venv/bin/python"));
    succeed(script.arg(root().join("tests/clients/deploy/terraform_reads.py")).arg(python_runtime()));
}
