//! Tools that deploy, unmodified, and CloudFormation through its real clients.

use cumulet_tests::{Cloud, root, succeed};

fn python() -> std::path::PathBuf {
    root().join(".venv-deploy/bin/python")
}

#[test]
fn sam_templates_become_what_the_translator_makes_of_them() {
    let cloud = Cloud::start();
    succeed(cloud.command(python()).arg(root().join("tests/clients/deploy/sam_transform.py")));
}
