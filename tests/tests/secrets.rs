//! Secrets Manager through boto3; over a crash; and on the disk.

use std::process::Command;

use cumulet_tests::{Cloud, root, succeed};

#[test]
fn boto3() {
    let cloud = Cloud::start();
    succeed(cloud.command(root().join(".venv/bin/python")).arg(root().join("tests/clients/secretsmanager.py")));
}

#[test]
fn secrets_survive_kill_and_cannot_be_read_on_the_disk() {
    const WORDS: &str = "correct horse battery staple";
    let mut cloud = Cloud::start();
    cloud.aws(&["secretsmanager", "create-secret", "--name", "s", "--secret-string", WORDS]);
    cloud.kill_and_restart();
    assert_eq!(cloud.aws(&["secretsmanager", "get-secret-value", "--secret-id", "s"])["SecretString"], WORDS);
    let found = Command::new("grep").args(["-r", "-l", WORDS]).arg(cloud.folder.path()).output().expect("grep runs");
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}
