//! What the help says beyond the flags themselves: defaults, from the one table of settings, and examples.

use clap::{Arg, Command};
use serde_json::Value;

use crate::config::Settings;

/// The commands that take settings.
const WITH_SETTINGS: [&str; 9] = ["run", "embed", "project", "assign", "render", "status", "config", "sources", "list"];

/// Examples of each command.
const EXAMPLES: [(&str, &[&str]); 18] = [
    (
        "run",
        &[
            "tsne-grid run ~/Pictures/2026 --model efficientnet-lite0   built in, no download",
            "tsne-grid run ~/Downloads/instagram-me-*.zip -o wall.png   parts of one export",
            "tsne-grid run                                              as the last time",
        ],
    ),
    (
        "embed",
        &[
            "tsne-grid embed ~/Pictures --model dinov2-small",
            "tsne-grid embed ~/Pictures --dry-run                       what there is to do",
            "tsne-grid embed ~/Pictures --weights model.safetensors     weights of your own",
        ],
    ),
    (
        "project",
        &[
            "tsne-grid project --perplexity 10                          smaller groups",
            "tsne-grid project --relayout                               from scratch",
            "tsne-grid project --input vectors.parquet --artifact xy.parquet",
        ],
    ),
    (
        "assign",
        &[
            "tsne-grid assign --grid 40x30",
            "tsne-grid assign --aspect 16:9",
            "tsne-grid assign --input xy.parquet --artifact cells.parquet",
        ],
    ),
    (
        "render",
        &[
            "tsne-grid render --cell 128 -o wall.png",
            "tsne-grid render --style scatter -o map.jpg",
            "tsne-grid render --input cells.parquet --color-by kind -o own.png",
        ],
    ),
    (
        "publish",
        &[
            "tsne-grid publish site --title \"My year\"                  a folder to upload",
            "tsne-grid publish site --base-url https://example.org/year",
            "tsne-grid publish site --base-url https://example.org/year --originals --iiif",
        ],
    ),
    (
        "status",
        &[
            "tsne-grid status",
            "tsne-grid status --perplexity 50                           what that would do again",
            "tsne-grid status --check                                   for scripts: exit code 4 if anything is stale",
        ],
    ),
    (
        "config",
        &[
            "tsne-grid config",
            "tsne-grid config > pipeline.toml                           keep them for good",
            "tsne-grid config ~/Pictures --model dinov2-small",
        ],
    ),
    (
        "sources",
        &[
            "tsne-grid sources ~/Downloads/instagram-me-*.zip",
            "tsne-grid sources ~/Pictures --films still",
            "tsne-grid sources ~/Pictures --json",
        ],
    ),
    (
        "list",
        &[
            "tsne-grid list /data/pictures --artifact list.parquet",
            "tsne-grid embed --list list.parquet --shard 17/256 --out shards",
            "tsne-grid run --list list.parquet --shards shards          put together, and on as ever",
        ],
    ),
    ("verify", &["tsne-grid verify", "tsne-grid verify --cache /mnt/cache", "tsne-grid verify --json"]),
    (
        "gc",
        &[
            "tsne-grid gc --dry-run                                     only say what would go",
            "tsne-grid gc --older-than 30d",
            "tsne-grid gc --max-size 2GB",
        ],
    ),
    (
        "export",
        &[
            "tsne-grid export pictures.csv                              path, caption, time, x, y, row, col",
            "tsne-grid export pictures.parquet --vector                 with the vectors",
            "tsne-grid export vectors.npy --vector                      for NumPy",
        ],
    ),
    (
        "search",
        &[
            "tsne-grid search dogs                                      after a run with efficientnet-lite0",
            "tsne-grid search \"a dog on a beach\" --limit 5            after a run with siglip2",
            "tsne-grid search --like IMG_1234.jpg",
        ],
    ),
    (
        "duplicates",
        &[
            "tsne-grid duplicates                                       of the last run",
            "tsne-grid duplicates --json",
            "tsne-grid run --fold duplicates                            each set in one cell",
        ],
    ),
    (
        "sample",
        &["tsne-grid sample export", "tsne-grid sample export --images 1000", "tsne-grid sample zips --zip --parts 3"],
    ),
    ("demo", &["tsne-grid demo", "tsne-grid demo trial --images 100", "tsne-grid demo --json"]),
    (
        "completions",
        &[
            "tsne-grid completions bash > ~/.local/share/bash-completion/completions/tsne-grid",
            "tsne-grid completions zsh > ~/.zfunc/_tsne-grid",
            "tsne-grid completions fish > ~/.config/fish/completions/tsne-grid.fish",
        ],
    ),
];

/// The command line with all of it.
pub(super) fn completed(command: Command) -> Command {
    let settings = serde_json::to_value(Settings::default()).unwrap_or_default();
    command.mut_subcommands(|sub| {
        let sub = match EXAMPLES.iter().find(|(name, _)| *name == sub.get_name()) {
            Some((_, lines)) => sub.after_help(format!("Examples:\n  {}", lines.join("\n  "))),
            None => sub,
        };
        if WITH_SETTINGS.contains(&sub.get_name()) { sub.mut_args(|arg| with_default(arg, &settings)) } else { sub }
    })
}

/// The flag of a setting says its default.
fn with_default(arg: Arg, settings: &Value) -> Arg {
    let id = arg.get_id().as_str();
    let table = Settings::TABLES.iter().find(|(table, keys)| match id {
        "fit" => *table == "render",
        "embed_fit" => *table == "embed",
        _ => keys.contains(&id),
    });
    let key = if id == "embed_fit" { "fit" } else { id };
    let Some(default) = table.and_then(|(table, _)| shown(&settings[table][key])) else { return arg };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let text = format!("{help} [default: {default}]");
    if let Some(long) = arg.get_long_help().map(ToString::to_string) {
        return arg.help(text).long_help(format!("{long} [default: {default}]"));
    }
    arg.help(text)
}

/// A default as it would be written behind the flag; none where nothing is.
fn shown(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().filter_map(shown).collect::<Vec<_>>().join(","),
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
            let (_, examples) = help.split_once("Examples:").expect(&name);
            assert_eq!(examples.matches("  tsne-grid ").count(), 3, "{name}");
            assert!(help.lines().all(|line| line.chars().count() <= 110), "{name}");
        }
    }
}
