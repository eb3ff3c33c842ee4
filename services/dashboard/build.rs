//! Assets are compressed and named by their content once, when the program is built: `$OUT_DIR/assets.rs` is the table
//! `src/assets.rs` includes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=assets");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("assets");
    let mut files: Vec<PathBuf> = fs::read_dir(&root)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.sort();
    let mut table = String::from("const ALL: &[Asset] = &[\n");
    for path in files {
        let name = path.file_name().and_then(|name| name.to_str()).expect("assets have plain names").to_owned();
        let bytes = fs::read(&path)?;
        // Beside the table, which names them by that: what was built in one checkout builds on in another.
        let packed = format!("{name}.gz");
        fs::write(out.join(&name), &bytes)?;
        pack(&out.join(&packed), &bytes)?;
        let tag = hex::encode(&Sha256::digest(&bytes)[..8]);
        writeln!(
            table,
            "    Asset {{ name: {name:?}, tag: {tag:?}, plain: include_bytes!({name:?}), packed: include_bytes!({packed:?}) }},"
        )
        .expect("a String takes everything");
    }
    fs::write(out.join("assets.rs"), table + "];\n")
}

fn pack(to: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    fs::write(to, encoder.finish()?)
}
