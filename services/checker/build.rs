//! Compiles `wasm/` to WebAssembly with the cargo and the toolchain at work, so that whoever builds the workspace has the page too, and
//! makes one file of it: style, script and module stand in the page, and its policy names the first two by their hashes.
//!
//! The inner cargo has a target folder of its own beside the outer one's (which is locked now), the same for every profile, lint or test
//! run. It uses the lock file of the workspace and the outer one's job slots. The target comes with `rust-toolchain.toml`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "wasm";
/// Whatever the module or the page is made of, from this folder.
const SOURCES: [&str; 9] = [
    "build.rs",
    "page",
    "wasm",
    "../proof/Cargo.toml",
    "../proof/src",
    "../proof/templates",
    "../protocol/Cargo.toml",
    "../protocol/src",
    "../../Cargo.lock",
];
/// What is meant for the outer build alone: its flags and its wrappers, clippy's among them.
const OUTER: [&str; 7] = [
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTFLAGS",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
];

fn main() -> io::Result<()> {
    let folder = |name: &str| PathBuf::from(env::var_os(name).expect("cargo sets it"));
    let (here, out) = (folder("CARGO_MANIFEST_DIR"), folder("OUT_DIR"));
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", here.join(source).display());
    }
    let module = fs::read(build(&here.join("wasm/Cargo.toml"), &beside(&out)))?;
    let read = |name: &str| fs::read_to_string(here.join("page").join(name));
    let (style, script) = (read("check.css")?, read("check.js")?);
    let policy = policy(&style, &script);
    let page = read("index.html")?
        .replace("{{policy}}", &policy)
        .replace("{{style}}", &style)
        .replace("{{script}}", &script)
        .replace("{{module}}", &STANDARD.encode(packed(&module)?));
    fs::write(out.join("check.html"), &page)?;
    fs::write(out.join("check.html.gz"), packed(page.as_bytes())?)?;
    fs::write(out.join("policy"), policy)?;
    fs::write(out.join("tag"), hex::encode(&Sha256::digest(&page)[..12]))
}

/// `target/checker` of the build at work; inside `out` where the folders are laid out in a way not known here.
fn beside(out: &Path) -> PathBuf {
    let profile = out.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == "build"));
    let target = profile.and_then(|build| build.parent()?.parent());
    target.unwrap_or(out).join("checker")
}

/// Compiles the module; answers with where it is.
fn build(manifest: &Path, target: &Path) -> PathBuf {
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo says who it is"));
    cargo.args(["build", "--quiet", "--locked", "--profile", PROFILE, "--target", TARGET]);
    cargo.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(target);
    cargo.env("CARGO_BUILD_BUILD_DIR", target);
    for name in OUTER {
        cargo.env_remove(name);
    }
    let done = cargo.status().expect("cargo starts");
    assert!(done.success(), "failed to compile the checker page; if {TARGET} is missing: rustup target add {TARGET}");
    target.join(TARGET).join(PROFILE).join("waybill_checker_wasm.wasm")
}

/// What the page may do: run its own script and module. No `connect-src`: it can ask nobody for anything, and send nothing.
fn policy(style: &str, script: &str) -> String {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    format!(
        "default-src 'none'; script-src {} 'wasm-unsafe-eval'; style-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        hash(script),
        hash(style)
    )
}

fn packed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}
