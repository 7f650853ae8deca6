//! Builds the clone library, which is loaded into runtimes and therefore carried as a file.

use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=clone");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("clone.so");
    if std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("x86_64") {
        // Without the library runtimes are started, not cloned.
        std::fs::write(out, []).expect("the output folder can be written");
        return;
    }
    let compiler = cc::Build::new().opt_level(2).pic(true).warnings(true).extra_warnings(true).get_compiler();
    let status = compiler
        .to_command()
        .args(["-shared", "-fvisibility=hidden", "-fno-omit-frame-pointer", "-fno-stack-protector", "-o"])
        .arg(&out)
        .args(["clone/clone.c", "-ldl"])
        .status()
        .expect("a C compiler is installed");
    assert!(status.success(), "compiling clone/clone.c");
}
