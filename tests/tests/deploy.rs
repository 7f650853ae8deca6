//! Tools that deploy, unmodified, and CloudFormation through its real clients.

use std::path::PathBuf;

use cumulet_tests::deploy::{application, cdk_in, is_nothing_left, no_stack, output_of, run_in};
use cumulet_tests::{Cloud, eventually, node_runtime, python_runtime, root, succeed};
use serde_json::{Value, json};

fn tool(name: &str) -> PathBuf {
    root().join(".venv-deploy/bin").join(name)
}

#[test]
fn sam_templates_become_what_the_translator_makes_of_them() {
    let cloud = Cloud::start();
    succeed(cloud.command(tool("python")).arg(root().join("tests/clients/deploy/sam_transform.py")));
}

/// SAM's command line: deploys, sees that nothing has changed, updates, and removes all of it again.
#[test]
fn sam_deploys_updates_and_removes() {
    let cloud = Cloud::start();
    let app = root().join("tests/clients/deploy/app");
    let sam = |arguments: &[&str]| {
        succeed(cloud.command(tool("sam")).args(arguments).env("SAM_CLI_TELEMETRY", "0").current_dir(&app))
    };
    let runtime = format!("Runtime={}", python_runtime());
    let deploy = |more: &[&str]| {
        let fixed = ["deploy", "--stack-name", "shop", "--resolve-s3", "--capabilities", "CAPABILITY_IAM"];
        let asks = ["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--parameter-overrides", &runtime];
        sam(&[&fixed[..], &asks, more].concat())
    };
    let output = |name: &str| output_of(&cloud, "shop", name);
    let greeting = || {
        let url = output("Api").replace("https://", "http://");
        serde_json::from_slice::<Value>(&cloud.curl(&[], &url).stdout).unwrap_or_default()["greeting"].clone()
    };
    assert!(deploy(&[]).contains("Successfully created/updated stack"));
    assert_eq!(greeting(), "hello");
    assert!(deploy(&[]).contains("No changes to deploy"));
    deploy(&["Greeting=bye"]);
    let (function, bucket) = (output("Function"), output("Uploads"));
    let configuration = cloud.aws(&["lambda", "get-function-configuration", "--function-name", &function]);
    assert_eq!(configuration["Environment"]["Variables"]["GREETING"], "bye");
    // The alias keeps its version: SAM publishes another only for other code.
    assert_eq!(greeting(), "hello");
    upload(&cloud, &bucket);
    ask(&cloud, &output("Tasks"));
    eventually("upload and message ran the function", || {
        let said = sam(&["logs", "--stack-name", "shop"]);
        said.contains("uploaded file.txt") && said.contains("asked for work")
    });
    assert_eq!(sam(&["remote", "invoke", "Hello", "--stack-name", "shop"]).lines().last(), Some(SAID_BYE));
    let outputs: Value =
        serde_json::from_str(&sam(&["list", "stack-outputs", "--stack-name", "shop", "--output", "json"]))
            .expect("outputs in JSON");
    assert!(outputs.as_array().is_some_and(|all| all.iter().any(|one| one["OutputValue"] == function.as_str())));
    cloud.aws_output(&["s3api", "delete-object", "--bucket", &bucket, "--key", "file.txt"]);
    sam(&["delete", "--stack-name", "shop", "--no-prompts"]);
    assert_eq!(cloud.aws(&["lambda", "list-functions"])["Functions"], json!([]));
    assert_eq!(cloud.aws(&["dynamodb", "list-tables"])["TableNames"], json!([]));
}

const SAID_BYE: &str = r#"{"statusCode": 200, "body": "{\"greeting\": \"bye\"}"}"#;

fn upload(cloud: &Cloud, bucket: &str) {
    let file = cloud.folder.path().join("file.txt").to_string_lossy().into_owned();
    std::fs::write(&file, "x").expect("writing a file");
    cloud.aws(&["s3api", "put-object", "--bucket", bucket, "--key", "file.txt", "--body", &file]);
}

fn ask(cloud: &Cloud, queue: &str) {
    cloud.aws(&["sqs", "send-message", "--queue-url", queue, "--message-body", "work"]);
}

/// The body an API answers with.
fn body_of(cloud: &Cloud, url: &str) -> String {
    let url = url.replacen("https://", "http://", 1);
    let answer = cloud.curl(&["--fail-with-body"], &url);
    String::from_utf8_lossy(&answer.stdout).into_owned()
}

#[test]
fn osls() {
    let cloud = Cloud::start();
    let folder = application("osls");
    let program = root().join("tests/clients/deploy/node_modules/.bin/osls");
    let osls =
        |arguments: &[&str], greeting| run_in(&cloud, folder.path(), &program, arguments, &[("GREETING", greeting)]);
    assert!(osls(&["deploy"], "hello").contains("Service deployed"));
    assert!(osls(&["deploy"], "hello").contains("No changes to deploy"));
    assert!(osls(&["deploy"], "other").contains("Service deployed"));
    assert!(osls(&["invoke", "-f", "hello"], "other").contains("other"));
    upload(&cloud, "shop-uploads");
    ask(&cloud, &output_of(&cloud, "shop-dev", "TasksUrl"));
    eventually("upload and message ran the function", || {
        let said = osls(&["logs", "-f", "work"], "other");
        said.contains("uploaded file.txt") && said.contains("asked for work")
    });
    let code = folder.path().join("index.js");
    let changed = std::fs::read_to_string(&code).expect("the code").replace("process.env.GREETING", "'changed'");
    std::fs::write(&code, changed).expect("changing the code");
    osls(&["deploy", "function", "-f", "hello"], "other");
    assert!(osls(&["invoke", "-f", "hello"], "other").contains("changed"));
    assert!(osls(&["info"], "other").contains("shop-dev-hello"));
    cloud.aws_output(&["s3api", "delete-object", "--bucket", "shop-uploads", "--key", "file.txt"]);
    assert!(osls(&["remove"], "other").contains("removed"));
    is_nothing_left(&cloud);
    assert_eq!(cloud.aws(&["s3api", "list-buckets"])["Buckets"], Value::Array(Vec::new()));
}

#[test]
fn aws_cdk() {
    let cloud = Cloud::start();
    let folder = application("cdk");
    let cdk = |arguments: &[&str], greeting: &str| cdk_in(&cloud, folder.path(), arguments, greeting);
    cdk(&["bootstrap", "aws://000000000000/us-east-1"], "hello");
    let roles = cloud.aws(&["iam", "list-roles"]);
    assert_eq!(roles["Roles"].as_array().map(Vec::len), Some(5), "{roles}");
    let deploy = ["deploy", "--require-approval", "never"];
    cdk(&deploy, "hello");
    let url = format!("{}/take", output_of(&cloud, "Shop", "Url"));
    assert_eq!(body_of(&cloud, &url), "hello");
    assert!(cdk(&deploy, "hello").contains("no changes"));
    assert!(cdk(&["diff"], "hello").contains("no differences"));
    assert!(cdk(&["diff"], "other").contains("GREETING"));
    cdk(&deploy, "other");
    assert_eq!(body_of(&cloud, &url), "other");
    ask(&cloud, &output_of(&cloud, "Shop", "TasksUrl"));
    let group = cloud.aws(&["logs", "describe-log-groups"])["logGroups"][0]["logGroupName"].clone();
    let group = group.as_str().expect("a log group").to_owned();
    eventually("the message ran the function", || {
        cloud.aws(&["logs", "filter-log-events", "--log-group-name", &group]).to_string().contains("asked for work")
    });
    // The function alone, past CloudFormation.
    let code = folder.path().join("take/index.js");
    let changed = std::fs::read_to_string(&code).expect("the code").replace("process.env.GREETING", "'changed'");
    std::fs::write(&code, changed).expect("changing the code");
    assert!(cdk(&["deploy", "--hotswap", "--require-approval", "never"], "other").contains("hotswapped"));
    assert_eq!(body_of(&cloud, &url), "changed");
    cdk(&["destroy", "--force"], "other");
    assert_eq!(cloud.aws(&["lambda", "list-functions"])["Functions"], Value::Array(Vec::new()));
    assert_eq!(cloud.aws(&["dynamodb", "list-tables"])["TableNames"], Value::Array(Vec::new()));
}

/// The functions that the CDK brings along for what CloudFormation cannot do; they answer over HTTPS.
#[test]
fn providers_of_the_cdk() {
    let sdk = cumulet_tests::sdk();
    let cloud = Cloud::start_with(&["--sdk-dir", &sdk.to_string_lossy(), "--lenient-versions"]);
    let folder = application("cdk-providers");
    let cdk = |arguments: &[&str]| cdk_in(&cloud, folder.path(), arguments, "");
    cdk(&["bootstrap", "aws://000000000000/us-east-1"]);
    cdk(&["deploy", "--require-approval", "never"]);
    let output = |name: &str| output_of(&cloud, "Providers", name);
    let made = cloud.aws(&["s3api", "head-object", "--bucket", &output("Bucket"), "--key", "made"]);
    assert_eq!(made["ETag"], output("Tag").as_str());
    let group = format!("/aws/lambda/{}", output("Function"));
    let groups = cloud.aws(&["logs", "describe-log-groups", "--log-group-name-prefix", &group]);
    assert_eq!(groups["logGroups"][0]["retentionInDays"], 7, "{groups}");
    upload(&cloud, &output("Bucket"));
    eventually("the upload ran the function", || {
        cloud.aws(&["logs", "filter-log-events", "--log-group-name", &group]).to_string().contains("uploaded file.txt")
    });
    // With the file still in its bucket.
    cdk(&["destroy", "--force"]);
    assert_eq!(cloud.aws(&["lambda", "list-functions"])["Functions"], Value::Array(Vec::new()));
    let buckets = cloud.aws(&["s3api", "list-buckets"])["Buckets"].as_array().map(Vec::len);
    assert_eq!(buckets, Some(1), "only the CDK's own bucket is left");
}

/// `cumulet deploy` reads a file of the Serverless Framework by itself, or hands it to `osls` where that is there.
#[test]
fn serverless_yml() {
    const FILE: &str = "service: small
provider: {name: aws, runtime: \"${env:NODE_RUNTIME}\", environment: {GREETING: \"${self:custom.greeting}\"}}
custom: {greeting: hello}
functions:
  hello:
    handler: index.handler
    events: [{httpApi: GET /hello}, {http: {path: old, method: get, cors: true}}]
";
    let cloud = Cloud::start();
    let folder = tempfile::tempdir().expect("a folder");
    let code = "exports.handler = async () => ({ statusCode: 200, body: process.env.GREETING });";
    std::fs::write(folder.path().join("serverless.yml"), FILE).expect("writing the file");
    std::fs::write(folder.path().join("index.js"), code).expect("writing the code");
    let deploy = || {
        let mut command = cloud.command(cumulet_tests::program());
        command.arg("deploy").arg(folder.path()).env("NODE_RUNTIME", node_runtime());
        command.env("SLS_TELEMETRY_DISABLED", "1").env("SLS_NOTIFICATIONS_MODE", "off").env("CI", "1");
        let done = cumulet_tests::output(&mut command);
        let said = format!("{}{}", String::from_utf8_lossy(&done.stderr), String::from_utf8_lossy(&done.stdout));
        assert!(done.status.success(), "{said}");
        said
    };
    assert!(deploy().contains("read without osls"));
    let url = output_of(&cloud, "small-dev", "HttpApiUrl");
    assert_eq!(body_of(&cloud, &format!("{url}/hello")), "hello");
    assert_eq!(body_of(&cloud, &format!("{}/old", output_of(&cloud, "small-dev", "ServiceEndpoint"))), "hello");
    no_stack(&cloud, "small-dev");
    // The function's own, which osls wants to make.
    cloud.aws(&["logs", "delete-log-group", "--log-group-name", "/aws/lambda/small-dev-hello"]);
    let modules = folder.path().join("node_modules/.bin");
    std::fs::create_dir_all(&modules).expect("making a folder");
    let osls = root().join("tests/clients/deploy/node_modules/.bin/osls").canonicalize().expect("osls is installed");
    std::os::unix::fs::symlink(osls, modules.join("osls")).expect("a link to osls");
    assert!(deploy().contains("handed to"));
    let url = output_of(&cloud, "small-dev", "HttpApiUrl");
    assert_eq!(body_of(&cloud, &format!("{url}/hello")), "hello");
}

/// Stacks on their way in every direction, killed on it.
#[test]
fn stacks_outlive_kills() {
    const ROUNDS: usize = 4;
    let mut cloud = Cloud::start();
    let mut script = cloud.command(root().join(".venv/bin/python"));
    script.arg(root().join("tests/clients/deploy_kills.py")).arg(ROUNDS.to_string()).arg(node_runtime());
    assert_eq!(cloud.kill_under(script), 5 * ROUNDS);
}
