//! DynamoDB through its real clients, and what it keeps over a kill.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use cumulet_tests::{Cloud, root, succeed};

const KILLS: usize = 50;

#[test]
fn boto3() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/dynamodb.py")));
}

#[test]
fn partiql() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/partiql.py")));
}

/// The script holds what was acknowledged against tables, indexes and streams after each kill.
#[test]
fn what_was_acknowledged_outlives_fifty_kills() {
    let mut cloud = Cloud::start();
    let mut script = cloud.command(root().join(".venv/bin/python"));
    script.arg(root().join("tests/clients/dynamodb_kills.py")).arg(KILLS.to_string());
    let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starting the load");
    let mut answers = script.stdin.take().expect("its standard input is piped");
    let lines = BufReader::new(script.stdout.take().expect("its standard output is piped")).lines();
    let mut kills = 0;
    for line in lines {
        let line = line.expect("what the load says");
        if line == "kill" {
            cloud.kill_and_restart();
            kills += 1;
            writeln!(answers, "up").expect("telling the load");
        } else {
            println!("{line}");
        }
    }
    assert!(script.wait().expect("the load ends").success());
    assert_eq!(kills, KILLS);
}

/// Each error that AWS declares for an operation is produced, or it is said why it cannot happen.
#[test]
fn declared_errors() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/dynamodb_errors.py")));
}

#[test]
fn a_data_model_of_nosql_workbench() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/workbench.py")));
}

#[test]
fn libraries_for_python() {
    let cloud = Cloud::start();
    let mut python = cloud.command(root().join(".venv/bin/python"));
    let python = python.env("POWERTOOLS_SERVICE_NAME", "shop").env("AWS_LAMBDA_FUNCTION_NAME", "pay");
    succeed(python.arg(root().join("tests/clients/dynamodb_libraries.py")));
}

#[test]
fn libraries_for_javascript() {
    let cloud = Cloud::start();
    succeed(cloud.command("node").arg("dynamodb.mjs").current_dir(root().join("tests/clients/node")));
}

#[test]
fn aws_command_line() {
    let cloud = Cloud::start();
    let create = "dynamodb create-table --table-name t-1 --billing-mode PAY_PER_REQUEST --attribute-definitions \
                  AttributeName=id,AttributeType=S --key-schema AttributeName=id,KeyType=HASH";
    cloud.aws(&create.split_whitespace().collect::<Vec<_>>());
    cloud.aws(&["dynamodb", "wait", "table-exists", "--table-name", "t-1"]);
    let item = r#"{"id": {"S": "a"}, "n": {"N": "1"}}"#;
    cloud.aws(&["dynamodb", "put-item", "--table-name", "t-1", "--item", item]);
    let got = cloud.aws(&["dynamodb", "get-item", "--table-name", "t-1", "--key", r#"{"id": {"S": "a"}}"#]);
    assert_eq!(got["Item"]["n"]["N"], "1");
    let found = cloud.aws(&["dynamodb", "execute-statement", "--statement", "SELECT n FROM \"t-1\" WHERE id = 'a'"]);
    assert_eq!(found["Items"][0]["n"]["N"], "1");
    let refused = cloud.aws_error(&["dynamodb", "describe-table", "--table-name", "absent"]);
    assert!(refused.contains("ResourceNotFoundException"), "{refused}");
    assert_eq!(cloud.aws(&["dynamodbstreams", "list-streams"])["Streams"], serde_json::json!([]));
}
