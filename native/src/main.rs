//! toxiclip, the program: parse, run, print one line on failure, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    toxiclip::allocator::keep_freed_pages();
    match toxiclip::cli::run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure:#}");
            ExitCode::from(failure.code())
        }
    }
}
