//! Adds to the help what clap cannot derive: the defaults of settings, read from [`Settings`], and examples.

use clap::{Arg, Command};
use serde_json::Value;

use crate::config::Settings;

/// The commands whose flags are settings, so that their help shows the defaults.
const WITH_SETTINGS: [&str; 9] = ["run", "embed", "project", "assign", "render", "status", "config", "sources", "list"];

/// The end of the help of the program itself; the help of a command ends with its examples.
const EXIT_CODES_AND_EXAMPLE: &str = "\
Exit codes:
  0    done
  1    failed
  2    invalid command line or configuration
  3    done, but --strict was given and an input was skipped because it is defective
  4    status --check found something stale
  130  interrupted

Example:
  tsne-grid demo   # start here";

/// An example: the command, and a comment, which may be empty.
type Example = (&'static str, &'static str);

/// Three examples for each command, shown below its flags.
const EXAMPLES: [(&str, [Example; 3]); 18] = [
    (
        "run",
        [
            ("tsne-grid run ~/Pictures/2026 --model efficientnet-lite0", "built in, no download"),
            ("tsne-grid run ~/Downloads/instagram-me-*.zip -o grid.png", "parts of one export"),
            ("tsne-grid run", "the same sources and flags again"),
        ],
    ),
    (
        "embed",
        [
            ("tsne-grid embed ~/Pictures --model dinov2-small", ""),
            ("tsne-grid embed ~/Pictures --dry-run", "what embed would do"),
            ("tsne-grid embed ~/Pictures --weights model.safetensors", "your own weights"),
        ],
    ),
    (
        "project",
        [
            ("tsne-grid project --perplexity 10", "tighter, smaller clusters"),
            ("tsne-grid project --relayout", "not from the last layout"),
            ("tsne-grid project --input vectors.parquet --artifact xy.parquet", ""),
        ],
    ),
    (
        "assign",
        [
            ("tsne-grid assign --grid 40x30", ""),
            ("tsne-grid assign --aspect 16:9", ""),
            ("tsne-grid assign --input xy.parquet --artifact cells.parquet", ""),
        ],
    ),
    (
        "render",
        [
            ("tsne-grid render --cell 128 -o grid.png", ""),
            ("tsne-grid render --style scatter -o map.jpg", ""),
            ("tsne-grid render --input cells.parquet --color-by kind -o own.png", ""),
        ],
    ),
    (
        "publish",
        [
            ("tsne-grid publish site --title \"My year\"", "a folder to upload"),
            ("tsne-grid publish site --base-url https://example.org/year", ""),
            ("tsne-grid publish site --base-url https://example.org/year --originals --iiif", ""),
        ],
    ),
    (
        "status",
        [
            ("tsne-grid status", ""),
            ("tsne-grid status --perplexity 50", "what that setting would make stale"),
            ("tsne-grid status --check", "for scripts: exit code 4 if anything is stale"),
        ],
    ),
    (
        "config",
        [
            ("tsne-grid config", ""),
            ("tsne-grid config > new.toml", "then rename it to pipeline.toml"),
            ("tsne-grid config ~/Pictures --model dinov2-small", ""),
        ],
    ),
    (
        "sources",
        [
            ("tsne-grid sources ~/Downloads/instagram-me-*.zip", ""),
            ("tsne-grid sources ~/Pictures --films still", ""),
            ("tsne-grid sources ~/Pictures --json", ""),
        ],
    ),
    (
        "list",
        [
            ("tsne-grid list /data/pictures --artifact list.parquet", ""),
            ("tsne-grid embed --list list.parquet --shard 17/256 --out shards", ""),
            ("tsne-grid run --list list.parquet --shards shards", "join the shards and draw the grid"),
        ],
    ),
    (
        "verify",
        [("tsne-grid verify", ""), ("tsne-grid verify --cache /mnt/cache", ""), ("tsne-grid verify --json", "")],
    ),
    (
        "gc",
        [
            ("tsne-grid gc --dry-run", "only say what would be deleted"),
            ("tsne-grid gc --older-than 30d", ""),
            ("tsne-grid gc --max-size 2GB", ""),
        ],
    ),
    (
        "export",
        [
            ("tsne-grid export pictures.csv", "path, caption, time, x, y, row, col"),
            ("tsne-grid export pictures.parquet --vector", "with the vectors"),
            ("tsne-grid export vectors.npy --vector", "for NumPy"),
        ],
    ),
    (
        "search",
        [
            ("tsne-grid search dogs", "after a run with efficientnet-lite0"),
            ("tsne-grid search \"a dog on a beach\" --limit 5", "after a run with siglip2"),
            ("tsne-grid search --like IMG_1234.jpg", ""),
        ],
    ),
    (
        "duplicates",
        [
            ("tsne-grid duplicates", "of the last run"),
            ("tsne-grid duplicates --json", ""),
            ("tsne-grid run --fold duplicates", "one cell per shot"),
        ],
    ),
    (
        "sample",
        [
            ("tsne-grid sample export", ""),
            ("tsne-grid sample export --images 1000", ""),
            ("tsne-grid sample zips --zip --parts 3", ""),
        ],
    ),
    ("demo", [("tsne-grid demo", ""), ("tsne-grid demo trial --images 100", ""), ("tsne-grid demo --json", "")]),
    (
        "completions",
        [
            ("tsne-grid completions bash > ~/.local/share/bash-completion/completions/tsne-grid", ""),
            ("tsne-grid completions zsh > ~/.zfunc/_tsne-grid", ""),
            ("tsne-grid completions fish > ~/.config/fish/completions/tsne-grid.fish", ""),
        ],
    ),
];

/// The examples as text. The comments start with `#`, so that pasting a line does not turn them into arguments, and are
/// aligned in one column.
fn examples_text(examples: &[Example]) -> String {
    let column = examples.iter().filter(|(_, comment)| !comment.is_empty()).map(|(command, _)| command.len()).max();
    let mut text = "Examples:".to_owned();
    for (command, comment) in examples {
        text += &match (column, comment.is_empty()) {
            (Some(column), false) => format!("\n  {command:column$}   # {comment}"),
            _ => format!("\n  {command}"),
        };
    }
    text
}

/// Adds the defaults and the examples to every command that has them.
pub(super) fn with_defaults_and_examples(command: Command) -> Command {
    let settings = serde_json::to_value(Settings::default()).unwrap_or_default();
    command.after_help(EXIT_CODES_AND_EXAMPLE).mut_subcommands(|sub| {
        let sub = match EXAMPLES.iter().find(|(name, _)| *name == sub.get_name()) {
            Some((_, examples)) => sub.after_help(examples_text(examples)),
            None => sub,
        };
        if WITH_SETTINGS.contains(&sub.get_name()) { sub.mut_args(|arg| with_default(arg, &settings)) } else { sub }
    })
}

/// Appends `[default: …]` to the help of a flag if the flag is a setting and the default is not empty.
fn with_default(arg: Arg, settings: &Value) -> Arg {
    let id = arg.get_id().as_str();
    let table = Settings::TABLES.iter().find(|(table, keys)| match id {
        "fit" => *table == "render",
        "embed_fit" => *table == "embed",
        _ => keys.contains(&id),
    });
    let key = if id == "embed_fit" { "fit" } else { id };
    let Some(default) = table.and_then(|(table, _)| flag_value(&settings[table][key])) else { return arg };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let text = format!("{help} [default: {default}]");
    if let Some(long) = arg.get_long_help().map(ToString::to_string) {
        return arg.help(text).long_help(format!("{long} [default: {default}]"));
    }
    arg.help(text)
}

/// A default as one would type it after the flag; `None` if it is empty.
fn flag_value(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(flag_value).collect::<Vec<_>>().join(","),
        Value::Number(number) => number.to_string().trim_end_matches(".0").to_owned(),
        other => other.to_string(),
    };
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_setting_says_its_default_and_every_command_has_examples() {
        let mut command = super::super::command();
        for (name, flag, default) in [
            ("run", "perplexity", "30"),
            ("run", "kinds", "post,file"),
            ("embed", "embed-fit", "auto"),
            ("render", "fit", "cover"),
            ("run", "page", "true"),
            ("run", "weights", ""),
        ] {
            let sub = command.find_subcommand(name).unwrap();
            let arg = sub.get_arguments().find(|arg| arg.get_long() == Some(flag)).unwrap();
            let help = arg.get_help().unwrap().to_string();
            let expected = if default.is_empty() { String::new() } else { format!("[default: {default}]") };
            assert_eq!(
                help.split_once("[default").map_or(String::new(), |(_, rest)| format!("[default{rest}")),
                expected
            );
        }
        for sub in command.get_subcommands_mut().filter(|sub| !["man", "help"].contains(&sub.get_name())) {
            let name = sub.get_name().to_owned();
            let help = sub.render_help().to_string();
            assert_eq!(help.matches("\n  tsne-grid ").count(), 3, "{name}");
            let examples = sub.get_after_help().expect(&name).to_string();
            assert!(help.lines().chain(examples.lines()).all(|line| line.chars().count() <= 100), "{name}");
        }
    }
}
