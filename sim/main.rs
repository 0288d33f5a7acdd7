//! Parse, dispatch, exit code.

fn main() -> std::process::ExitCode {
    hikyaku::cli::main()
}
