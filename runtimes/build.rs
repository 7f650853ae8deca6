//! Builds what is carried as files: the libraries that are loaded into runtimes, and the first process of instances that are
//! more than one process.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=clone");
    println!("cargo:rerun-if-changed=init");
    println!("cargo:rerun-if-changed=node");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    build_init(&out.join("init"));
    build_clone(&out.join("clone.so"));
    build_library("node/channel.c", &out.join("channel.so"));
}

fn compiler() -> cc::Build {
    let mut build = cc::Build::new();
    build.opt_level(2).warnings(true).extra_warnings(true);
    build
}

fn build_init(out: &Path) {
    let compiler = compiler().pic(false).get_compiler();
    let link = |how: &[&str]| {
        let mut command = compiler.to_command();
        command.args(how).arg("-s").arg("-o").arg(out).arg("init/init.c").status().expect("a C compiler is installed")
    };
    // Some distributions have no static C library; then instances of images do without extensions.
    if !link(&["-static", "-no-pie"]).success() {
        assert!(link(&[]).success(), "compiling init/init.c");
    }
}

fn build_clone(out: &Path) {
    if std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("x86_64") {
        // Without the library runtimes are started, not cloned.
        std::fs::write(out, []).expect("the output folder can be written");
        return;
    }
    build_library("clone/clone.c", out);
}

fn build_library(source: &str, out: &Path) {
    let status = compiler()
        .pic(true)
        .get_compiler()
        .to_command()
        .args(["-shared", "-fvisibility=hidden", "-fno-omit-frame-pointer", "-fno-stack-protector", "-o"])
        .arg(out)
        // All symbols are looked up when it is loaded: a clone would do so again.
        .args([source, "-ldl", "-Wl,-z,now"])
        .status()
        .expect("a C compiler is installed");
    assert!(status.success(), "compiling {source}");
}
