//! `serverless.yml`: handed to `osls` where that is installed, else read as far as its common parts go, and made into a SAM
//! template. What is not among them is refused by name.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::output::Failure;

const FILES: [&str; 3] = ["serverless.yml", "serverless.yaml", "serverless.json"];
const STAGE: &str = "dev";
/// References to values that are references themselves.
const DEPTH_MAX: usize = 16;

/// The folder's file, if it has one.
pub fn file(folder: &Path) -> Option<PathBuf> {
    FILES.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// `osls` of the folder, of one above it, or on the path.
pub fn tool(folder: &Path) -> Option<PathBuf> {
    let full = folder.canonicalize().ok()?;
    let own = full.ancestors().map(|folder| folder.join("node_modules/.bin/osls"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("osls")).collect::<Vec<_>>();
    own.chain(on_path).find(|program| program.is_file())
}

fn not_read(what: impl std::fmt::Display) -> Failure {
    Failure::usage(format!("serverless.yml: {what} is not read without osls: install it (npm install osls)"))
}

/// What the file says, as a stack's name and a template.
pub fn read(path: &Path) -> Result<(String, Value), Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::usage(format!("{}: {e}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| failed(&e))?;
    let raw = cumulet_cloudformation::template::parse(&text).map_err(|e| failed(&e))?;
    let whole = resolved(&raw, &raw, 0)?;
    let service = match &whole["service"] {
        Value::String(name) => name.clone(),
        other => other["name"].as_str().ok_or_else(|| failed(&"there is no service"))?.to_owned(),
    };
    known(
        "",
        &whole,
        &[
            "service",
            "frameworkVersion",
            "provider",
            "package",
            "functions",
            "resources",
            "custom",
            "configValidationMode",
        ],
    )?;
    known("provider", &whole["provider"], PROVIDER)?;
    let stage = whole["provider"]["stage"].as_str().unwrap_or(STAGE).to_owned();
    let mut template =
        Template { whole: &whole, stage: &stage, service: &service, resources: Map::new(), outputs: Map::new() };
    for (name, function) in entries(&whole["functions"]) {
        template.function(name, function)?;
    }
    for (section, into) in [("Resources", &mut template.resources), ("Outputs", &mut template.outputs)] {
        into.extend(entries(&whole["resources"][section]).map(|(name, value)| (name.clone(), value.clone())));
    }
    let made = json!({
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": template.resources,
        "Outputs": template.outputs,
    });
    Ok((format!("{service}-{stage}"), made))
}

const PROVIDER: &[&str] =
    &["name", "runtime", "stage", "region", "memorySize", "timeout", "environment", "architecture", "iam", "httpApi"];
const FUNCTION: &[&str] = &[
    "handler",
    "name",
    "description",
    "runtime",
    "memorySize",
    "timeout",
    "environment",
    "architecture",
    "events",
    "url",
    "reservedConcurrency",
];

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn known(whose: &str, value: &Value, names: &[&str]) -> Result<(), Failure> {
    let dot = if whose.is_empty() { "" } else { "." };
    match entries(value).find(|(name, _)| !names.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, _)) => Err(not_read(format!("{whose}{dot}{name}"))),
    }
}

/// The value with `${env:…}`, `${self:…}`, `${opt:…}` and `${sls:stage}` replaced. What is CloudFormation's own is left.
fn resolved(value: &Value, whole: &Value, depth: usize) -> Result<Value, Failure> {
    if depth > DEPTH_MAX {
        return Err(Failure::usage("serverless.yml: variables refer to each other in a circle"));
    }
    match value {
        Value::String(text) => substituted(text, whole, depth),
        Value::Array(items) => items.iter().map(|item| resolved(item, whole, depth)).collect(),
        Value::Object(map) => {
            // The text of a substitution is CloudFormation's.
            let each = |(name, value): (&String, &Value)| match name.as_str() {
                "Fn::Sub" => Ok((name.clone(), value.clone())),
                _ => Ok((name.clone(), resolved(value, whole, depth)?)),
            };
            map.iter().map(each).collect::<Result<Map<_, _>, Failure>>().map(Value::from)
        }
        other => Ok(other.clone()),
    }
}

fn substituted(text: &str, whole: &Value, depth: usize) -> Result<Value, Failure> {
    let Some(at) = text.find("${") else { return Ok(text.into()) };
    let (before, rest) = text.split_at(at);
    let end = rest.find('}').ok_or_else(|| Failure::usage(format!("serverless.yml: `{text}` has no end")))?;
    let (inside, after) = (&rest[2..end], &rest[end + 1..]);
    let value = variable(inside, whole, depth)?;
    if before.is_empty() && after.is_empty() {
        return Ok(value);
    }
    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let after = substituted(after, whole, depth)?;
    Ok(format!("{before}{shown}{}", after.as_str().unwrap_or_default()).into())
}

fn variable(inside: &str, whole: &Value, depth: usize) -> Result<Value, Failure> {
    for option in inside.split(',').map(str::trim) {
        let quoted = option.strip_prefix(['\'', '"']).and_then(|rest| rest.strip_suffix(['\'', '"']));
        if let Some(text) = quoted {
            return Ok(text.into());
        }
        let found = match option.split_once(':') {
            Some(("env", name)) => std::env::var(name).ok().map(Value::from),
            Some(("self", path)) => {
                let found = path.split('.').try_fold(whole, |at, part| at.get(part));
                found.map(|value| resolved(value, whole, depth + 1)).transpose()?
            }
            // There are no options here; what follows them counts.
            Some(("opt", _)) => None,
            Some(("sls", "stage")) => Some(resolved(&whole["provider"]["stage"], whole, depth + 1)?)
                .map(|stage| if stage.is_null() { STAGE.into() } else { stage }),
            Some(("aws", "region")) => Some("us-east-1".into()),
            Some(("aws", "accountId")) => return Err(not_read("${aws:accountId}")),
            Some((kind, _)) => return Err(not_read(format!("${{{kind}:…}}"))),
            None => match option {
                "true" | "false" => Some((option == "true").into()),
                _ => option.parse::<i64>().ok().map(Value::from),
            },
        };
        if let Some(value) = found {
            return Ok(value);
        }
    }
    Err(Failure::usage(format!("serverless.yml: `${{{inside}}}` has no value")))
}

/// A template on its way.
struct Template<'a> {
    whole: &'a Value,
    stage: &'a str,
    service: &'a str,
    resources: Map<String, Value>,
    outputs: Map<String, Value>,
}

impl Template<'_> {
    fn function(&mut self, name: &str, given: &Value) -> Result<(), Failure> {
        let whose = format!("functions.{name}");
        known(&whose, given, FUNCTION)?;
        let provider = &self.whole["provider"];
        let of = |member: &str| given.get(member).or_else(|| provider.get(member));
        let mut properties = json!({ "CodeUri": ".", "Handler": given["handler"] });
        let own = format!("{}-{}-{name}", self.service, self.stage);
        properties["FunctionName"] = given.get("name").cloned().unwrap_or_else(|| own.into());
        for (member, property) in [("runtime", "Runtime"), ("description", "Description")] {
            if let Some(value) = of(member) {
                properties[property] = value.clone();
            }
        }
        properties["MemorySize"] = of("memorySize").cloned().unwrap_or_else(|| 1024.into());
        properties["Timeout"] = of("timeout").cloned().unwrap_or_else(|| 6.into());
        if let Some(architecture) = of("architecture") {
            properties["Architectures"] = json!([architecture]);
        }
        if let Some(number) = given.get("reservedConcurrency") {
            properties["ReservedConcurrentExecutions"] = number.clone();
        }
        let variables: Map<String, Value> = entries(&provider["environment"])
            .chain(entries(&given["environment"]))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if !variables.is_empty() {
            properties["Environment"] = json!({ "Variables": variables });
        }
        self.permissions(&mut properties)?;
        if given["url"] == true {
            properties["FunctionUrlConfig"] = json!({ "AuthType": "NONE" });
        } else if given.get("url").is_some_and(|url| *url != false) {
            return Err(not_read(format!("{whose}.url other than true")));
        }
        let mut events = Map::new();
        for (i, event) in given["events"].as_array().into_iter().flatten().enumerate() {
            let (id, event) = self.event(&whose, event, i)?;
            events.insert(id, event);
        }
        properties["Events"] = events.into();
        let id = format!("{}LambdaFunction", capital(name));
        let url = given["url"] == true;
        self.resources.insert(id.clone(), json!({ "Type": "AWS::Serverless::Function", "Properties": properties }));
        if url {
            let value = json!({ "Fn::GetAtt": [format!("{id}Url"), "FunctionUrl"] });
            self.outputs.insert(format!("{id}Url"), json!({ "Value": value }));
        }
        Ok(())
    }

    fn permissions(&self, properties: &mut Value) -> Result<(), Failure> {
        let iam = &self.whole["provider"]["iam"];
        known("provider.iam", iam, &["role"])?;
        match &iam["role"] {
            Value::Null => {}
            Value::Object(role) => {
                known("provider.iam.role", &iam["role"], &["statements", "managedPolicies"])?;
                let mut policies = role.get("managedPolicies").and_then(Value::as_array).cloned().unwrap_or_default();
                if let Some(statements) = role.get("statements") {
                    policies.push(json!({ "Version": "2012-10-17", "Statement": statements }));
                }
                properties["Policies"] = policies.into();
            }
            arn => properties["Role"] = arn.clone(),
        }
        Ok(())
    }

    fn event(&mut self, whose: &str, event: &Value, number: usize) -> Result<(String, Value), Failure> {
        let Some((kind, given)) = entries(event).next() else {
            return Err(not_read(format!("an event of {whose} without a kind")));
        };
        let whose = format!("{whose}.events.{kind}");
        let of = |kind: &str, properties: Value| {
            Ok((format!("{kind}{number}"), json!({ "Type": kind, "Properties": properties })))
        };
        let request = |given: &Value| -> (String, String) {
            match given.as_str() {
                Some("*") => ("*".into(), "*".into()),
                Some(text) => text.split_once(' ').map_or((text.into(), "*".into()), |(m, p)| (m.into(), p.into())),
                None => {
                    let text = |name: &str| given[name].as_str().unwrap_or("*").to_owned();
                    (text("method"), text("path"))
                }
            }
        };
        match kind.as_str() {
            "httpApi" => {
                known(&whose, given, &["method", "path"])?;
                self.output("HttpApiUrl", json!({ "Fn::GetAtt": ["ServerlessHttpApi", "ApiEndpoint"] }));
                match request(given) {
                    (_, path) if path == "*" => of("HttpApi", json!({})),
                    (method, path) => of("HttpApi", json!({ "Method": method, "Path": path })),
                }
            }
            "http" => {
                known(&whose, given, &["method", "path", "cors"])?;
                let mut api = json!({ "StageName": self.stage });
                if given["cors"] == true
                    || self.resources.get("ApiGatewayRestApi").is_some_and(|a| a["Properties"].get("Cors").is_some())
                {
                    api["Cors"] = "'*'".into();
                } else if given.get("cors").is_some_and(|cors| *cors != false) {
                    return Err(not_read(format!("{whose}.cors other than true")));
                }
                self.resources
                    .insert("ApiGatewayRestApi".into(), json!({ "Type": "AWS::Serverless::Api", "Properties": api }));
                let url = format!(
                    "https://${{ApiGatewayRestApi}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}/{}",
                    self.stage
                );
                self.output("ServiceEndpoint", json!({ "Fn::Sub": url }));
                let (method, path) = request(given);
                let path = format!("/{}", path.trim_start_matches('/'));
                of("Api", json!({ "RestApiId": { "Ref": "ApiGatewayRestApi" }, "Method": method, "Path": path }))
            }
            "schedule" => {
                known(&whose, given, &["rate", "enabled", "input", "name", "description"])?;
                let mut made = json!({ "Schedule": given.get("rate").unwrap_or(given) });
                for (member, property) in [("enabled", "Enabled"), ("name", "Name"), ("description", "Description")] {
                    if let Some(value) = given.get(member) {
                        made[property] = value.clone();
                    }
                }
                if let Some(input) = given.get("input") {
                    made["Input"] = input.as_str().map_or_else(|| input.to_string(), str::to_owned).into();
                }
                of("Schedule", made)
            }
            "sqs" => {
                known(
                    &whose,
                    given,
                    &["arn", "batchSize", "maximumBatchingWindow", "functionResponseType", "enabled"],
                )?;
                let is_map = given.get("arn").is_some();
                let mut made = json!({ "Queue": if is_map { &given["arn"] } else { given } });
                for (member, property) in [
                    ("batchSize", "BatchSize"),
                    ("maximumBatchingWindow", "MaximumBatchingWindowInSeconds"),
                    ("enabled", "Enabled"),
                ] {
                    if let Some(value) = given.get(member) {
                        made[property] = value.clone();
                    }
                }
                if let Some(kind) = given.get("functionResponseType") {
                    made["FunctionResponseTypes"] = json!([kind]);
                }
                of("SQS", made)
            }
            "s3" => {
                known(&whose, given, &["bucket", "event", "rules"])?;
                let bucket = given.as_str().or(given["bucket"].as_str());
                let bucket = bucket.ok_or_else(|| not_read(format!("{whose} without the name of a bucket")))?;
                let id = format!("S3Bucket{}", capital(bucket));
                let made = json!({ "Type": "AWS::S3::Bucket", "Properties": { "BucketName": bucket } });
                self.resources.entry(id.clone()).or_insert(made);
                let event = given.get("event").cloned().unwrap_or_else(|| "s3:ObjectCreated:*".into());
                let mut made = json!({ "Bucket": { "Ref": id }, "Events": event });
                let rules: Vec<Value> = given["rules"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .flat_map(entries)
                    .map(|(name, value)| json!({ "Name": name, "Value": value }))
                    .collect();
                if !rules.is_empty() {
                    made["Filter"] = json!({ "S3Key": { "Rules": rules } });
                }
                of("S3", made)
            }
            _ => Err(not_read(whose)),
        }
    }

    fn output(&mut self, name: &str, value: Value) {
        self.outputs.insert(name.to_owned(), json!({ "Value": value }));
    }
}

/// As logical ids are written: letters and digits, with a capital first.
fn capital(name: &str) -> String {
    let spelled = name.replace('-', "Dash").replace('_', "Underscore").replace('.', "Dot");
    let mut letters = spelled.chars();
    letters.next().map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<(String, Value), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("serverless.yml");
        std::fs::write(&path, text).unwrap();
        assert_eq!(file(folder.path()).as_ref(), Some(&path));
        read(&path).map_err(|failure| failure.message)
    }

    const HEAD: &str = "service: shop\nprovider: {name: aws, runtime: nodejs22.x, stage: \"${opt:stage, 'test'}\", environment: {A: \"${self:custom.a}-b\"}}\ncustom: {a: \"${env:NO_SUCH_THING, 'x'}\"}\n";

    #[test]
    fn common_parts_become_a_template() {
        let text = format!(
            "{HEAD}functions:\n  hello:\n    handler: a.b\n    url: true\n    events:\n      - httpApi: GET /hello\n      - http: {{path: 'x/{{id}}', method: get, cors: true}}\n      - sqs: {{arn: !GetAtt Q.Arn, batchSize: 5}}\n      - s3: {{bucket: up-loads, rules: [{{suffix: .txt}}]}}\n      - schedule: rate(1 minute)\nresources:\n  Resources: {{Q: {{Type: AWS::SQS::Queue}}}}\n  Outputs: {{U: {{Value: !Sub '${{Q}}'}}}}\n"
        );
        let (stack, template) = read_text(&text).unwrap();
        assert_eq!(stack, "shop-test");
        let function = &template["Resources"]["HelloLambdaFunction"]["Properties"];
        assert_eq!(function["FunctionName"], "shop-test-hello");
        assert_eq!(function["Environment"]["Variables"]["A"], "x-b");
        let events = &function["Events"];
        assert_eq!(events["HttpApi0"]["Properties"], json!({"Method": "GET", "Path": "/hello"}));
        assert_eq!(events["Api1"]["Properties"]["Path"], "/x/{id}");
        assert_eq!(events["SQS2"]["Properties"]["BatchSize"], 5);
        assert_eq!(events["S33"]["Properties"]["Bucket"], json!({"Ref": "S3BucketUpDashloads"}));
        assert_eq!(events["Schedule4"]["Properties"]["Schedule"], "rate(1 minute)");
        assert_eq!(template["Resources"]["ApiGatewayRestApi"]["Properties"]["Cors"], "'*'");
        assert_eq!(template["Outputs"]["U"]["Value"], json!({"Fn::Sub": "${Q}"}));
        assert!(template["Resources"]["Q"].is_object());
    }

    #[test]
    fn the_rest_is_refused_by_name() {
        for (more, name) in [
            ("plugins: [x]", "plugins"),
            ("functions: {f: {handler: a.b, events: [{alexaSkill: x}]}}", "alexaSkill"),
            ("functions: {f: {handler: a.b, layers: []}}", "functions.f.layers"),
            ("functions: {f: {handler: \"${ssm:x}\"}}", "ssm"),
            ("functions: {f: {handler: \"${self:nowhere}\"}}", "nowhere"),
        ] {
            let error = read_text(&format!("{HEAD}{more}\n")).unwrap_err();
            assert!(error.contains(name), "{more}: {error}");
        }
        assert!(read_text("service: s\ncustom: {a: \"${self:custom.b}\", b: \"${self:custom.a}\"}\n").is_err());
    }
}
