//! Keys through boto3, across a kill.

use cumulet_tests::{Cloud, root, succeed};

const AFTER: &str = "
import boto3, json, sys
kept = json.load(open(sys.argv[1]))
kms = boto3.client('kms')
assert kms.decrypt(CiphertextBlob=bytes.fromhex(kept['blob']), EncryptionContext=kept['context'])['Plaintext'] == b'hello'
";

#[test]
fn keys_encrypt_for_those_who_may_and_outlive_a_kill() {
    let mut cloud = Cloud::start();
    let python = root().join(".venv/bin/python");
    let kept = cloud.folder.path().join("kept.json");
    let script = root().join("tests/clients/kms.py");
    succeed(cloud.command(&python).arg(script).env("CUMULET_KEPT", &kept));
    cloud.kill_and_restart();
    succeed(cloud.command(&python).args(["-c", AFTER]).arg(&kept));
}
