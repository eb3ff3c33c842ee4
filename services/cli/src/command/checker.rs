//! The checker page as a file of one's own: for who gives bundles to people, or wants to check without anybody's server.

use std::path::PathBuf;

use waybill_checker::PAGE;

use crate::code;
use crate::error::Error;
use crate::show::print;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to write it; the standard output unless you say so
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<u8, Error> {
    match &args.file {
        None => print(PAGE),
        Some(path) => {
            std::fs::write(path, PAGE).map_err(|source| Error::File { verb: "write", path: path.clone(), source })?
        }
    }
    Ok(code::DONE)
}
