//! Further tools that deploy, unmodified: `sam sync`, Serverless Framework 3, AWS's command line.

use std::path::{Path, PathBuf};

use cumulet_tests::deploy::{application, cdk_in, cdk_output, is_nothing_left, no_stack, output_of, run_in, stack};
use cumulet_tests::{Cloud, eventually, python_runtime, root, succeed};
use serde_json::{Value, json};

fn sam() -> PathBuf {
    root().join(".venv-deploy/bin/sam")
}

/// Two more kinds that applications of the tests have.
fn no_queues_nor_stacks(cloud: &Cloud, is_own: impl Fn(&str) -> bool) {
    assert!(cloud.aws(&["sqs", "list-queues"])["QueueUrls"].is_null());
    let live = ["--stack-status-filter", "CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_FAILED", "DELETE_IN_PROGRESS"];
    let stacks = cloud.aws(&[&["cloudformation", "list-stacks"][..], &live].concat());
    let list = stacks["StackSummaries"].as_array().cloned().unwrap_or_default();
    assert!(list.iter().all(|stack| is_own(stack["StackName"].as_str().unwrap_or_default())), "{list:?}");
}

fn greeting(cloud: &Cloud, url: &str) -> Value {
    let answer = cloud.curl(&[], &url.replacen("https://", "http://", 1));
    let found = serde_json::from_slice::<Value>(&answer.stdout).unwrap_or_default()["greeting"].clone();
    if found.is_null() { String::from_utf8_lossy(&answer.stdout).into_owned().into() } else { found }
}

fn change(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).expect("the code");
    assert!(text.contains(from));
    std::fs::write(file, text.replace(from, to)).expect("changing the code");
}

/// The infrastructure, then the code alone past CloudFormation; and what SAM tells of a stack.
#[test]
fn sam_syncs_lists_and_invokes() {
    let cloud = Cloud::start();
    let folder = application("app");
    let sam = |arguments: &[&str]| {
        // It asks whether the stack is one to develop with.
        let mut command = cloud.command("sh");
        command.args(["-c", "yes | exec \"$0\" \"$@\""]).arg(sam()).args(arguments).current_dir(folder.path());
        succeed(command.env("SAM_CLI_TELEMETRY", "0"))
    };
    let runtime = format!("Runtime={}", python_runtime());
    let sync = |more: &[&str]| {
        let fixed = ["sync", "--stack-name", "shop", "--no-watch", "--no-dependency-layer"];
        sam(&[&fixed[..], more, &["--parameter-overrides", &runtime]].concat())
    };
    sync(&["--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]);
    let api = output_of(&cloud, "shop", "Api");
    assert_eq!(greeting(&cloud, &api), "hello");
    change(&folder.path().join("src/app.py"), "os.environ[\"GREETING\"]", "'synced'");
    sync(&["--code"]);
    eventually("the code alone is new", || greeting(&cloud, &api) == "synced");
    let list = |what: &str| -> Value {
        let asked = ["list", what, "--stack-name", "shop", "--output", "json"];
        let with = if what == "stack-outputs" { vec![] } else { vec!["--parameter-overrides", runtime.as_str()] };
        serde_json::from_str(&sam(&[&asked[..], &with].concat())).expect("a list in JSON")
    };
    let one = |all: &Value, name: &str| {
        let found = all.as_array().into_iter().flatten().find(|one| one["LogicalResourceId"] == name).cloned();
        found.unwrap_or_else(|| panic!("no {name} in {all}"))
    };
    let endpoints = list("endpoints");
    let shown = one(&endpoints, "ServerlessHttpApi")["CloudEndpoint"][0].as_str().unwrap_or_default().to_owned();
    assert!(api.contains(shown.split(['/', '.']).nth(2).unwrap_or("nothing")), "{endpoints}");
    let function = one(&list("resources"), "Hello")["PhysicalResourceId"].clone();
    // What SAM asks for a function's address, which the alias has here.
    let alias =
        format!("arn:aws:lambda:us-east-1:000000000000:function:{}:live", function.as_str().unwrap_or_default());
    let of = ["cloudcontrol", "get-resource", "--type-name", "AWS::Lambda::Url", "--identifier", &alias];
    let found = cloud.aws(&of)["ResourceDescription"]["Properties"].as_str().unwrap_or_default().to_owned();
    let url = serde_json::from_str::<Value>(&found).expect("properties")["FunctionUrl"].clone();
    assert_eq!(greeting(&cloud, url.as_str().unwrap_or_default()), "synced");
    let outputs = list("stack-outputs");
    assert!(outputs.as_array().is_some_and(|all| all.iter().any(|one| one["OutputValue"] == function)), "{outputs}");
    assert!(sam(&["remote", "invoke", "Hello", "--stack-name", "shop"]).contains("synced"));
    sam(&["remote", "invoke", "Tasks", "--stack-name", "shop", "--event", "by SAM"]);
    eventually("the message ran the function", || {
        sam(&["logs", "--stack-name", "shop", "--name", "Hello"]).contains("asked for by SAM")
    });
    sam(&["delete", "--stack-name", "shop", "--no-prompts"]);
    is_nothing_left(&cloud);
    no_queues_nor_stacks(&cloud, |name| name == "aws-sam-cli-managed-default");
}

/// With a plugin of ten lines, as the SDK it brings along does not know of `AWS_ENDPOINT_URL`; without a login.
#[test]
fn serverless_framework_3() {
    let cloud = Cloud::start();
    let folder = application("osls");
    let plugin = root().join("tests/clients/deploy/serverless-3/endpoint.js");
    std::fs::copy(plugin, folder.path().join("endpoint.js")).expect("copying the plugin");
    change(&folder.path().join("serverless.yml"), "service: shop\n", "service: shop\nplugins: [./endpoint.js]\n");
    let program = root().join("tests/clients/deploy/node_modules/serverless-3/bin/serverless.js");
    let serverless = |arguments: &[&str], greeting: &str| {
        let environment = [("GREETING", greeting)];
        let mut all = vec![program.to_str().expect("a path in UTF-8")];
        all.extend(arguments);
        run_in(&cloud, folder.path(), Path::new("node"), &all, &environment)
    };
    assert!(serverless(&["deploy"], "hello").contains("Service deployed"));
    assert!(serverless(&["deploy"], "hello").contains("No changes to deploy"));
    assert!(serverless(&["deploy"], "other").contains("Service deployed"));
    assert!(serverless(&["invoke", "-f", "hello"], "other").contains("other"));
    cloud.aws(&[
        "sqs",
        "send-message",
        "--queue-url",
        &output_of(&cloud, "shop-dev", "TasksUrl"),
        "--message-body",
        "work",
    ]);
    eventually("the message ran the function", || {
        serverless(&["logs", "-f", "work"], "other").contains("asked for work")
    });
    change(&folder.path().join("index.js"), "process.env.GREETING", "'changed'");
    serverless(&["deploy", "function", "-f", "hello"], "other");
    assert!(serverless(&["invoke", "-f", "hello"], "other").contains("changed"));
    assert!(serverless(&["info"], "other").contains("shop-dev-hello"));
    assert!(serverless(&["remove"], "other").contains("removed"));
    is_nothing_left(&cloud);
    no_queues_nor_stacks(&cloud, |_| false);
    for (arguments, member) in [(["s3api", "list-buckets"], "Buckets"), (["logs", "describe-log-groups"], "logGroups")]
    {
        assert_eq!(cloud.aws(&arguments)[member], json!([]), "{arguments:?}");
    }
}

/// `aws cloudformation package` and `deploy`, by hand what SAM does.
#[test]
fn aws_packages_and_deploys() {
    let cloud = Cloud::start();
    let folder = application("app");
    let (template, packed) = (folder.path().join("template.yaml"), folder.path().join("packed.yaml"));
    // It does not look for code among the globals.
    change(&template, "      AutoPublishAlias: live\n", "      AutoPublishAlias: live\n      CodeUri: src\n");
    let (template, packed) = (template.display().to_string(), packed.display().to_string());
    let aws = |arguments: &[&str]| {
        let done = cloud.aws_output(arguments);
        let text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{arguments:?}: {text}");
        text
    };
    aws(&["s3api", "create-bucket", "--bucket", "artifacts"]);
    let runtime = format!("Runtime={}", python_runtime());
    let package = || {
        let package = ["cloudformation", "package", "--template-file", &template, "--s3-bucket", "artifacts"];
        aws(&[&package[..], &["--output-template-file", &packed]].concat());
    };
    // It looks every half a minute whether the stack is done.
    let deploy = || {
        package();
        let fixed = ["cloudformation", "deploy", "--template-file", &packed, "--stack-name", "shop", "--capabilities"];
        let more = ["CAPABILITY_IAM", "--no-fail-on-empty-changeset", "--parameter-overrides", &runtime];
        aws(&[&fixed[..], &more].concat())
    };
    assert!(deploy().contains("Successfully created/updated stack - shop"));
    let api = output_of(&cloud, "shop", "Api");
    assert_eq!(greeting(&cloud, &api), "hello");
    assert!(deploy().contains("No changes to deploy"));
    change(&folder.path().join("src/app.py"), "os.environ[\"GREETING\"]", "'packed'");
    package();
    stack(&cloud, "update", "shop", Path::new(&packed), &[("Runtime", &python_runtime())]);
    assert_eq!(greeting(&cloud, &api), "packed");
    cloud.aws(&["sqs", "send-message", "--queue-url", &output_of(&cloud, "shop", "Tasks"), "--message-body", "work"]);
    let group = format!("/aws/lambda/{}", output_of(&cloud, "shop", "Function"));
    eventually("the message ran the function", || {
        cloud.aws(&["logs", "filter-log-events", "--log-group-name", &group]).to_string().contains("asked for work")
    });
    no_stack(&cloud, "shop");
    is_nothing_left(&cloud);
    no_queues_nor_stacks(&cloud, |_| false);
    let buckets = cloud.aws(&["s3api", "list-buckets"]);
    assert_eq!(buckets["Buckets"].as_array().map(Vec::len), Some(1), "only the one that was made by hand: {buckets}");
}

/// `cdk import` of what is there already; then a deployment that fails and stays so, until `cdk rollback`.
#[test]
fn cdk_imports_and_rolls_back() {
    let cloud = Cloud::start();
    let folder = application("cdk-taken");
    let cdk = |arguments: &[&str], mode: &str| cdk_in(&cloud, folder.path(), arguments, mode);
    cloud.aws(&["s3api", "create-bucket", "--bucket", "there-already"]);
    let queue = cloud.aws(&["sqs", "create-queue", "--queue-name", "there-already"])["QueueUrl"].clone();
    cdk(&["bootstrap", "aws://000000000000/us-east-1"], "plain");
    cdk(&["deploy", "--require-approval", "never"], "plain");
    // What is to be taken, as an assembly: the application need not run every time.
    cdk(&["synth", "--quiet", "--output", "taken"], "import");
    let template = std::fs::read(folder.path().join("taken/Taken.template.json")).expect("a template");
    let template: Value = serde_json::from_slice(&template).expect("a template in JSON");
    let resources = template["Resources"].as_object().cloned().unwrap_or_default();
    let found = resources.iter().find(|(_, resource)| resource["Type"] == "AWS::S3::Bucket");
    let bucket = found.map(|(name, _)| name.as_str()).expect("a bucket in the template");
    let mapping = json!({ bucket: {"BucketName": "there-already"}, "Other": {"QueueUrl": queue} });
    std::fs::write(folder.path().join("mapping.json"), mapping.to_string()).expect("writing the mapping");
    cdk(&["import", "--app", "taken", "--resource-mapping", "mapping.json"], "import");
    let status = || {
        let found = cloud.aws(&["cloudformation", "describe-stacks", "--stack-name", "Taken"])["Stacks"][0].clone();
        found["StackStatus"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(status(), "IMPORT_COMPLETE");
    let failing = ["deploy", "--no-rollback", "--require-approval", "never"];
    assert!(!cdk_output(&cloud, folder.path(), &failing, "broken").status.success());
    assert_eq!(status(), "UPDATE_FAILED");
    cdk(&["rollback", "--app", "taken"], "import");
    assert_eq!(status(), "UPDATE_ROLLBACK_COMPLETE");
    assert!(cdk(&["diff", "--app", "taken"], "import").contains("There were no differences"));
    no_stack(&cloud, "Taken");
    assert_eq!(cloud.aws(&["sqs", "list-queues"])["QueueUrls"], json!([queue]), "what was taken is to stay");
}
