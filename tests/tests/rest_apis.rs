//! REST APIs as the tools that people deploy them with make them, and as their callers see them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use cumulet_tests::deploy::{application, cdk_in, is_nothing_left, no_stack, output_of, run_in, stack};
use cumulet_tests::{Cloud, node_runtime, root, succeed};
use serde_json::{Value, json};

/// Status and body of an answer.
fn ask(cloud: &Cloud, arguments: &[&str], url: &str) -> (u16, String) {
    let url = url.replacen("https://", "http://", 1);
    let answer = cloud.curl(&[&["-w", "\n%{http_code}"], arguments].concat(), &url);
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').expect("a status at the end");
    (status.parse().expect("a status"), body.to_owned())
}

fn ok(body: &str) -> (u16, String) {
    (200, body.to_owned())
}

#[test]
fn of_sam_templates() {
    let cloud = Cloud::start();
    let template = root().join("tests/clients/deploy/rest/sam/template.yaml");
    let runtime = node_runtime();
    let deploy =
        |verb, greeting| stack(&cloud, verb, "rest", &template, &[("Runtime", &runtime), ("Greeting", greeting)]);
    deploy("create", "hello");
    let open = format!("{}/7", output_of(&cloud, "rest", "Open"));
    let said = |answer: &(u16, String)| serde_json::from_str::<Value>(&answer.1).unwrap_or_default();
    let answer = ask(&cloud, &[], &open);
    assert_eq!((answer.0, said(&answer)), (200, json!({"greeting": "hello", "resource": "/hello/{id}", "id": "7"})));
    let preflight = ask(&cloud, &["-X", "OPTIONS", "-D", "-"], &open).1;
    assert!(preflight.contains("access-control-allow-methods: GET,OPTIONS"), "{preflight}");
    deploy("update", "bye");
    assert_eq!(said(&ask(&cloud, &[], &open))["greeting"], "bye");
    let closed = output_of(&cloud, "rest", "Closed");
    let key =
        cloud.aws(&["apigateway", "get-api-key", "--include-value", "--api-key", &output_of(&cloud, "rest", "Key")]);
    let key = format!("x-api-key: {}", key["value"].as_str().expect("the value of the key"));
    let guarded = |token: &str| ask(&cloud, &["-H", &key, "-H", &format!("Authorization: {token}")], &closed);
    let answer = guarded("friend");
    assert_eq!((answer.0, &said(&answer)["user"]), (200, &json!("friend")));
    assert_eq!(guarded("foe").0, 403);
    assert_eq!(guarded("nobody").0, 401);
    assert_eq!(ask(&cloud, &["-H", "Authorization: friend"], &closed).0, 403, "without the key");
    assert_eq!(ask(&cloud, &["-H", &key], &closed).0, 401, "without a token");
    no_stack(&cloud, "rest");
    is_nothing_left(&cloud);
    for list in ["get-rest-apis", "get-api-keys", "get-usage-plans"] {
        assert_eq!(cloud.aws(&["apigateway", list])["items"], json!([]), "{list}");
    }
}

#[test]
fn of_the_cdk() {
    let cloud = Cloud::start();
    let folder = application("rest/cdk");
    let cdk = |arguments: &[&str], greeting: &str| cdk_in(&cloud, folder.path(), arguments, greeting);
    cdk(&["bootstrap", "aws://000000000000/us-east-1"], "");
    let deploy = ["deploy", "--require-approval", "never"];
    cdk(&deploy, "hello");
    let outputs = cloud.aws(&["cloudformation", "describe-stacks", "--stack-name", "Rest"]);
    let url = outputs["Stacks"][0]["Outputs"][0]["OutputValue"].as_str().expect("the address of the API").to_owned();
    assert_eq!(ask(&cloud, &[], &format!("{url}items")), ok("hello /items"));
    assert_eq!(ask(&cloud, &["-X", "DELETE"], &format!("{url}rest/a/b")), ok("hello /rest/a/b"));
    assert_eq!(ask(&cloud, &["-X", "PUT"], &format!("{url}items/1")).0, 403, "without a key");
    let key = ["-X", "PUT", "-H", "x-api-key: a-key-of-more-than-twenty-letters"];
    assert_eq!(ask(&cloud, &key, &format!("{url}items/1")), ok("hello /items/1"));
    let preflight = ask(&cloud, &["-X", "OPTIONS", "-D", "-"], &format!("{url}items"));
    assert!(preflight.1.contains("access-control-allow-origin: https://example.com"), "{preflight:?}");
    assert_eq!(preflight.0, 204);
    assert!(cdk(&deploy, "hello").contains("no changes"));
    cdk(&deploy, "bye");
    assert_eq!(ask(&cloud, &[], &format!("{url}items")), ok("bye /items"));
    cdk(&["destroy", "--force"], "");
    assert_eq!(cloud.aws(&["apigateway", "get-rest-apis"])["items"], json!([]));
}

#[test]
fn of_osls() {
    let cloud = Cloud::start();
    let folder = application("rest/osls");
    let program = root().join("tests/clients/deploy/node_modules/.bin/osls");
    let osls = |arguments: &[&str]| run_in(&cloud, folder.path(), &program, arguments, &[("GREETING", "hello")]);
    osls(&["deploy"]);
    let url = output_of(&cloud, "rest-dev", "ServiceEndpoint");
    assert_eq!(ask(&cloud, &[], &format!("{url}/hello/1?q=1")), ok("hello anybody"));
    assert_eq!(ask(&cloud, &[], &format!("{url}/hello/1")).0, 400, "without the parameter");
    assert_eq!(ask(&cloud, &["-X", "OPTIONS"], &format!("{url}/hello/1")).0, 200);
    let key = "x-api-key: a-key-of-more-than-twenty-letters";
    let guarded = ["-X", "POST", "-H", key, "-H", "Authorization: me"];
    assert_eq!(ask(&cloud, &guarded, &format!("{url}/guarded")), ok("hello me"));
    assert_eq!(ask(&cloud, &guarded[..4], &format!("{url}/guarded")).0, 401);
    osls(&["deploy"]);
    assert_eq!(ask(&cloud, &guarded, &format!("{url}/guarded")), ok("hello me"), "after another deployment");
    osls(&["remove"]);
    is_nothing_left(&cloud);
    assert_eq!(cloud.aws(&["apigateway", "get-rest-apis"])["items"], json!([]));
    // What keys and plans depend on is named anew by osls each time, which it takes for a change; without them there is none.
    let file = folder.path().join("serverless.yml");
    let text = std::fs::read_to_string(&file).expect("the service");
    let plain: Vec<&str> =
        text.lines().filter(|line| !line.contains("apiGateway:") && !line.contains("apiKeys:")).collect();
    std::fs::write(&file, plain.join("\n").replace("private: true, ", "")).expect("the service without keys");
    assert!(osls(&["deploy"]).contains("Service deployed"));
    assert!(osls(&["deploy"]).contains("No changes to deploy"));
    osls(&["remove"]);
}

/// An issuer of tokens, which ends when it is dropped.
struct Issuer {
    child: std::process::Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    address: String,
}

impl Issuer {
    fn start() -> Issuer {
        let mut command = Command::new(root().join(".venv/bin/python"));
        command.arg(root().join("tests/clients/issuer.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("starting the issuer");
        let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let address = lines.next().expect("an address").expect("a line");
        Issuer { child, lines, address }
    }

    fn token(&mut self, claims: &Value) -> String {
        let input = self.child.stdin.as_mut().expect("its input is piped");
        writeln!(input, "{claims}").expect("asking the issuer");
        self.lines.next().expect("a token").expect("a line")
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.child.kill().expect("ending the issuer");
        self.child.wait().expect("reaping the issuer");
    }
}

#[test]
fn routes_are_guarded_by_tokens_functions_and_signatures() {
    let cloud = Cloud::start();
    let mut issuer = Issuer::start();
    let template = root().join("tests/clients/deploy/rest/guarded.yaml");
    let parameters = [("Runtime", node_runtime()), ("Issuer", issuer.address.clone())];
    let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    stack(&cloud, "create", "guarded", &template, &parameters);
    let url = output_of(&cloud, "guarded", "Url");
    let get = |path: &str, headers: &[&str]| {
        let arguments: Vec<&str> = headers.iter().flat_map(|header| ["-H", header]).collect();
        ask(&cloud, &arguments, &format!("{url}{path}"))
    };
    assert_eq!(get("/open", &[]).0, 200);
    assert_eq!(get("/token", &[]), (401, json!({"message": "Unauthorized"}).to_string()));
    let mut bearer = |claims: Value| format!("authorization: Bearer {}", issuer.token(&claims));
    let good = bearer(json!({"aud": "shop", "sub": "me", "scope": "read"}));
    let answer = get("/token", &[&good]);
    let said: Value = serde_json::from_str(&answer.1).unwrap_or_default();
    assert_eq!((answer.0, &said["authorizer"]["jwt"]["claims"]["sub"]), (200, &json!("me")), "{answer:?}");
    for bad in [
        bearer(json!({"aud": "other"})),
        bearer(json!({"aud": "shop", "lives": -1})),
        bearer(json!({"aud": "shop", "iss": "https://example.com"})),
        bearer(json!({"aud": "shop", "key": "foreign"})),
        "authorization: Bearer no.token.at-all".to_owned(),
    ] {
        assert_eq!(get("/token", &[&bad]).0, 401, "{bad}");
    }
    assert_eq!(get("/scope", &[&good]).0, 403);
    assert_eq!(get("/scope", &[&bearer(json!({"aud": "shop", "scope": "read write"}))]).0, 200);
    let answer = get("/friend", &["who: friend"]);
    assert_eq!(answer, ok(&json!({"authorizer": {"lambda": {"who": "friend"}}}).to_string()));
    assert_eq!(get("/friend", &["who: foe"]).0, 403);
    assert_eq!(get("/friend", &[]).0, 401);
    assert_eq!(get("/signed", &[]).0, 403);
    let signed = ["--aws-sigv4", "aws:amz:us-east-1:execute-api", "--user", "test:test"];
    assert_eq!(ask(&cloud, &signed, &format!("{url}/signed")).0, 200);
    let key = output_of(&cloud, "guarded", "Key");
    let rotation = cloud.aws(&["kms", "get-key-rotation-status", "--key-id", &key]);
    assert_eq!(rotation["KeyRotationEnabled"], true);
    assert_eq!(cloud.aws(&["kms", "list-aliases"])["Aliases"][0]["AliasName"], "alias/shop");
    no_stack(&cloud, "guarded");
    is_nothing_left(&cloud);
    assert_eq!(cloud.aws(&["kms", "list-aliases"])["Aliases"], json!([]));
    let state = cloud.aws(&["kms", "describe-key", "--key-id", &key])["KeyMetadata"]["KeyState"].clone();
    assert_eq!(state, "PendingDeletion");
}

/// Quotas are counted, over an end of the cloud as well.
#[test]
fn usage_plans() {
    let mut cloud = Cloud::start();
    for round in ["before", "after"] {
        let mut script = cloud.command(root().join(".venv/bin/python"));
        succeed(script.arg(root().join("tests/clients/usage_plans.py")).args([round, &cloud.endpoint]));
        if round == "before" {
            cloud.kill_and_restart();
        }
    }
}
