//! The program: parse, wire the terminal and Ctrl-C, call the library, print an error once.

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
    let cli = parsed.unwrap_or_else(|error| refuse(&error));
    let quiet = cli.global.quiet;
    let terminal = Arc::new(Terminal::new(quiet, cli.global.verbose));

    // The first signal asks to stop at the next safe point; a second one does not wait for it.
    let asked = terminal.clone();
    let watched = ctrlc::set_handler(move || {
        if asked.interrupt() {
            std::process::exit(130);
        }
    });
    if let Err(error) = watched {
        terminal.error(&format!("Ctrl-C will not be noticed: {error}"));
    }
    // A file that grows beyond `ulimit -f` is then an error of that write instead of the end of the program.
    #[cfg(unix)]
    if let Err(error) = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()) {
        terminal.error(&format!("a limit on file sizes will end the program: {error}"));
    }
    // Panics inside picture decoders are caught and reported as bad files.
    let print_panic = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !in_decoder() {
            print_panic(info);
        }
    }));

    let answer = commands::execute(cli, terminal.clone());
    if let Some(error) = answer.error {
        terminal.error(&error);
    }
    // On a terminal the path stands there already, as an address; a pipe or a file gets it.
    if answer.told && !quiet && std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
        return ExitCode::from(answer.code);
    }
    match std::io::stdout().lock().write_all(answer.text.as_bytes()) {
        Ok(()) => ExitCode::from(answer.code),
        // Whoever reads our output has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::from(answer.code),
        Err(error) => {
            terminal.error(&format!("cannot write to standard output: {error}"));
            ExitCode::from(1)
        }
    }
}

/// Ends with what is wrong with the command line, or with the help that it asked for.
fn refuse(error: &clap::Error) -> ! {
    if !error.use_stderr() {
        error.exit();
    }
    let plain = |text: String| {
        let text = text.replace("invalid digit found in string", "a whole number is wanted");
        text.replace("invalid float literal", "a number is wanted")
    };
    // Nobody is left to tell if both are gone.
    if std::env::args_os().any(|arg| arg == "--json") {
        let _ = writeln!(std::io::stdout().lock(), "{}", commands::refused(&plain(error.render().to_string())));
    }
    let _ = write!(anstream::stderr().lock(), "{}", plain(error.render().ansi().to_string()));
    std::process::exit(error.exit_code())
}
