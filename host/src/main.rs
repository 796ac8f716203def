//! The `perdura` command.

fn main() -> std::process::ExitCode {
    perdura::cli::main()
}
