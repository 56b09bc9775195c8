// SPDX-License-Identifier: MIT
//! The `samovar` command.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
