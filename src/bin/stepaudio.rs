//! The `stepaudio` program.

fn main() -> std::process::ExitCode {
    stepaudio::commands::main()
}
