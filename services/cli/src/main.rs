//! `kubectl waybill`: a program on the PATH with this name is a kubectl plugin.

use std::process::ExitCode;

fn main() -> ExitCode {
    waybill_cli::main()
}
