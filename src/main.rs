//! The program: parses the command line, connects the terminal and Ctrl-C, calls the library, prints the response.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::FromArgMatches;
use tsne_grid::cli::{self, Cli};
use tsne_grid::commands;
use tsne_grid::photo::in_decoder;
use tsne_grid::ui::Terminal;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let parsed = cli::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = parsed.unwrap_or_else(|error| exit_with_usage(&error));
    let quiet = cli.global.quiet;
    let terminal = Arc::new(Terminal::new(quiet, cli.global.verbose));

    // The first signal asks to stop at the next safe point. A second one ends the program at once.
    let handler_terminal = terminal.clone();
    let handler = ctrlc::set_handler(move || {
        if handler_terminal.interrupt() {
            std::process::exit(130);
        }
    });
    if let Err(error) = handler {
        terminal.error(&format!("Ctrl-C will not stop the program cleanly: {error}"));
    }
    // With a handler, a file that grows beyond `ulimit -f` is an I/O error of that write and does not end the program.
    #[cfg(unix)]
    if let Err(error) = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()) {
        terminal.error(&format!("reaching a limit on file sizes (ulimit -f) will end the program: {error}"));
    }
    // Panics inside picture decoders are caught and reported as broken files, so they are not printed here.
    let print_panic = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !in_decoder() {
            print_panic(info);
        }
    }));

    let response = commands::execute(cli, terminal.clone());
    if let Some(error) = response.error {
        terminal.error(&error);
    }
    // On a terminal, the summary has already shown the path as a link. A pipe or a file still gets the path.
    if response.already_shown && !quiet && std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
        return ExitCode::from(response.code);
    }
    match std::io::stdout().lock().write_all(response.text.as_bytes()) {
        Ok(()) => ExitCode::from(response.code),
        // The reader, such as `head`, has closed the pipe; that is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::from(response.code),
        Err(error) => {
            terminal.error(&format!("cannot write to standard output: {error}"));
            ExitCode::from(1)
        }
    }
}

/// Prints what is wrong with the command line, or the help that was asked for, and exits.
fn exit_with_usage(error: &clap::Error) -> ! {
    if !error.use_stderr() {
        error.exit();
    }
    let simplify = |text: String| {
        let text = text.replace("invalid digit found in string", "a whole number is expected");
        text.replace("invalid float literal", "a number is expected")
    };
    // If standard output and standard error are both closed, the failure cannot be reported.
    if std::env::args_os().any(|arg| arg == "--json") {
        let _ =
            writeln!(std::io::stdout().lock(), "{}", commands::usage_error_json(&simplify(error.render().to_string())));
    }
    let _ = write!(anstream::stderr().lock(), "{}", simplify(error.render().ansi().to_string()));
    std::process::exit(error.exit_code())
}
