//! HTTP APIs as their callers see them: what functions are given, what clients get back, and what is refused.

use cumulet_tests::{Cloud, eventually, node_runtime};
use serde_json::{Value, json};

/// Answers with the event; what the query asks for comes back as cookies or bytes.
const ECHO: &str = r#"
exports.handler = async (event) => {
  const query = event.queryStringParameters || {};
  if (query.bytes) {
    return { statusCode: 200, isBase64Encoded: true, body: Buffer.from([0, 255, 128]).toString('base64') };
  }
  if (query.cookies) return { statusCode: 201, cookies: ['a=1; Secure', 'b=2'], body: 'set' };
  return { statusCode: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(event) };
};
"#;

struct Api {
    cloud: Cloud,
    id: String,
}

impl Api {
    /// An API with one function behind the routes given, in either payload format, deployed to `$default`.
    fn start(version: &str, routes: &[&str]) -> Api {
        let cloud = Cloud::start();
        cloud.create_function("echo", &node_runtime(), "index.handler", &[("index.js", ECHO)]);
        let id = text(&cloud.aws(&["apigatewayv2", "create-api", "--name", "a", "--protocol-type", "HTTP"])["ApiId"]);
        let api = Api { cloud, id };
        let integration = api.run(
            "create-integration",
            &[
                "--integration-type",
                "AWS_PROXY",
                "--integration-uri",
                "arn:aws:lambda:us-east-1:000000000000:function:echo",
                "--payload-format-version",
                version,
            ],
        );
        let target = format!("integrations/{}", text(&integration["IntegrationId"]));
        for route in routes {
            api.run("create-route", &["--route-key", route, "--target", &target]);
        }
        let variables = ["--stage-name", "$default", "--auto-deploy", "--stage-variables", "colour=blue"];
        api.run("create-stage", &variables);
        api.cloud.aws(&[
            "lambda",
            "add-permission",
            "--function-name",
            "echo",
            "--statement-id",
            "api",
            "--action",
            "lambda:InvokeFunction",
            "--principal",
            "apigateway.amazonaws.com",
        ]);
        api
    }

    fn run(&self, operation: &str, arguments: &[&str]) -> Value {
        self.cloud.aws(&[&["apigatewayv2", operation, "--api-id", &self.id], arguments].concat())
    }

    fn curl(&self, arguments: &[&str], path: &str) -> Vec<u8> {
        let url = format!("http://{}.execute-api.localhost:{}{path}", self.id, self.cloud.port());
        let ran = self.cloud.curl(arguments, &url);
        assert!(ran.status.success(), "{url}: {}", String::from_utf8_lossy(&ran.stderr));
        ran.stdout
    }

    fn event(&self, arguments: &[&str], path: &str) -> Value {
        let answer = self.curl(arguments, path);
        serde_json::from_slice(&answer).unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(&answer)))
    }

    fn whole(&self, arguments: &[&str], path: &str) -> String {
        String::from_utf8_lossy(&self.curl(&[&["-i"], arguments].concat(), path)).to_ascii_lowercase()
    }

    fn status(&self, arguments: &[&str], path: &str) -> String {
        let status = self.curl(&[&["-o", "/dev/null", "-w", "%{http_code}"], arguments].concat(), path);
        String::from_utf8_lossy(&status).into_owned()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

#[test]
fn events_of_format_2() {
    let api = Api::start("2.0", &["GET /items/{id}", "ANY /files/{path+}", "POST /items", "$default"]);
    let event = api.event(&["-H", "x-a: 1", "-H", "x-a: 2", "-b", "c=1; d=2"], "/items/a%20b?q=1&q=2&r=");
    assert_eq!((&event["version"], &event["routeKey"]), (&json!("2.0"), &json!("GET /items/{id}")));
    assert_eq!(event["pathParameters"], json!({"id": "a b"}));
    assert_eq!(event["queryStringParameters"], json!({"q": "1,2", "r": ""}));
    assert_eq!(event["rawQueryString"], "q=1&q=2&r=");
    assert_eq!(event["headers"]["x-a"], "1,2");
    assert_eq!(event["cookies"], json!(["c=1", "d=2"]));
    assert_eq!(event["stageVariables"], json!({"colour": "blue"}));
    assert_eq!(event["requestContext"]["http"]["method"], "GET");
    assert_eq!(event["requestContext"]["stage"], "$default");
    assert_eq!(event["isBase64Encoded"], false);

    let greedy = api.event(&["-X", "DELETE"], "/files/a/b/c.txt");
    assert_eq!(
        (&greedy["routeKey"], &greedy["pathParameters"]["path"]),
        (&json!("ANY /files/{path+}"), &json!("a/b/c.txt"))
    );
    let rest = api.event(&[], "/nothing/else");
    assert_eq!((&rest["routeKey"], rest.get("pathParameters")), (&json!("$default"), None));

    let posted = api.event(&["-H", "content-type: application/json", "-d", "{\"n\":1}"], "/items");
    assert_eq!((&posted["body"], &posted["isBase64Encoded"]), (&json!("{\"n\":1}"), &json!(false)));
    let bytes = api.cloud.folder.path().join("bytes");
    std::fs::write(&bytes, [0_u8, 255, 128]).expect("writing bytes");
    let data = format!("@{}", bytes.display());
    let posted = api.event(&["-H", "content-type: application/octet-stream", "--data-binary", &data], "/items");
    assert_eq!((&posted["body"], &posted["isBase64Encoded"]), (&json!("AP+A"), &json!(true)));
    assert_eq!(api.curl(&[], "/x?bytes=1"), [0, 255, 128]);

    let cookies = api.whole(&[], "/x?cookies=1");
    assert!(cookies.starts_with("http/1.1 201"), "{cookies}");
    assert!(cookies.contains("set-cookie: a=1; secure") && cookies.contains("set-cookie: b=2"), "{cookies}");
    assert!(api.whole(&["--http2-prior-knowledge"], "/items/1").starts_with("http/2 200"));
}

#[test]
fn events_of_format_1() {
    let api = Api::start("1.0", &["GET /items/{id}"]);
    let event = api.event(&["-H", "x-a: 1", "-H", "x-a: 2"], "/items/7?q=1&q=2");
    assert_eq!((&event["version"], &event["resource"]), (&json!("1.0"), &json!("/items/{id}")));
    assert_eq!((&event["httpMethod"], &event["path"]), (&json!("GET"), &json!("/items/7")));
    assert_eq!(event["pathParameters"], json!({"id": "7"}));
    assert_eq!(event["queryStringParameters"], json!({"q": "2"}));
    assert_eq!(event["multiValueQueryStringParameters"], json!({"q": ["1", "2"]}));
    assert_eq!(event["stageVariables"], json!({"colour": "blue"}));
    assert_eq!(event["requestContext"]["identity"]["sourceIp"], "127.0.0.1");
    // Without `$default`, what no route names is not there.
    let missing = api.whole(&[], "/else");
    assert!(missing.starts_with("http/1.1 404") && missing.contains(r#"{"message":"not found"}"#), "{missing}");
    assert_eq!(api.status(&["-X", "POST"], "/items/7"), "404");
}

#[test]
fn browsers_are_asked_and_told() {
    let api = Api::start("2.0", &["$default"]);
    let cors = "AllowOrigins=https://shop.example,AllowMethods=GET,AllowHeaders=x-a,MaxAge=60";
    api.run("update-api", &["--cors-configuration", cors]);
    let ask = |origin: &str| {
        let origin = format!("origin: {origin}");
        api.whole(&["-X", "OPTIONS", "-H", &origin, "-H", "access-control-request-method: GET"], "/x")
    };
    let allowed = ask("https://shop.example");
    for part in ["http/1.1 204", "access-control-allow-origin: https://shop.example", "access-control-max-age: 60"] {
        assert!(allowed.contains(part), "{part}: {allowed}");
    }
    assert!(!ask("https://else.example").contains("access-control-allow-origin"));
    let got = api.whole(&["-H", "origin: https://shop.example"], "/x");
    assert!(got.contains("access-control-allow-origin: https://shop.example"), "{got}");
}

#[test]
fn throttled_and_written_down() {
    let api = Api::start("2.0", &["GET /free", "GET /slow"]);
    let group = "/access/a";
    api.cloud.aws(&["logs", "create-log-group", "--log-group-name", group]);
    let log = json!({
        "DestinationArn": format!("arn:aws:logs:us-east-1:000000000000:log-group:{group}"),
        "Format": "$context.httpMethod $context.path $context.status $context.routeKey",
    });
    let settings = json!({"GET /slow": {"ThrottlingBurstLimit": 1, "ThrottlingRateLimit": 0.001}});
    api.run(
        "update-stage",
        &[
            "--stage-name",
            "$default",
            "--access-log-settings",
            &log.to_string(),
            "--route-settings",
            &settings.to_string(),
        ],
    );
    assert_eq!(api.status(&[], "/slow"), "200");
    let refused = api.whole(&[], "/slow");
    assert!(refused.starts_with("http/1.1 429") && refused.contains("too many requests"), "{refused}");
    assert_eq!(api.status(&[], "/free"), "200");
    eventually("the access log is there", || {
        let found = api.cloud.aws(&["logs", "filter-log-events", "--log-group-name", group]);
        let events = found["events"].as_array().cloned().unwrap_or_default();
        let lines: Vec<_> = events.iter().filter_map(|e| e["message"].as_str()).map(str::trim).collect();
        ["GET /slow 200 GET /slow", "GET /slow 429 GET /slow", "GET /free 200 GET /free"]
            .iter()
            .all(|l| lines.contains(l))
    });
}

#[test]
fn ten_megabytes_are_too_much() {
    let api = Api::start("2.0", &["$default"]);
    let body = api.cloud.folder.path().join("body");
    std::fs::write(&body, vec![b'x'; 10 * 1024 * 1024 + 1]).expect("writing a body");
    let data = format!("@{}", body.display());
    assert_eq!(api.status(&["-H", "expect:", "--data-binary", &data], "/x"), "413");
}
