//! What each command does: flags become settings, settings become calls, results become text for
//! standard output.

mod answer;
mod shares;

pub use answer::{Answer, refused};

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::artifact::brought::Named;
use crate::cli::{
    self, AssignArgs, Cli, Command, Common, DemoArgs, EmbedArgs, GcArgs, Global, ProjectArgs, PublishArgs, RenderArgs,
    RunArgs, SearchArgs, SourcesArgs, StageFlags, StatusArgs, Tables,
};
use crate::config::{Asked, EmbedSettings, File, LimitSettings, ModelName, Settings, written};
use crate::error::Halt;
use crate::model::Hub;
use crate::model::text::Speaking;
use crate::photo::Budget;
use crate::pipeline::{self, Outcome, Preflight, Remembered, Request};
use crate::report::{Event, Reporter, counted, thousands};
use crate::search::{self, Search, Term};
use crate::stage::render::Publishing;
use crate::stage::{Context, Made, Stage, assign, copy_if_changed, project};
use crate::store::{self, GcOptions, Store};
use crate::ui::harmless;
use crate::{duplicates, export, memory, sample};
use answer::Heard;

/// Exit code of `--strict` when an input was skipped for a defect.
const SKIPPED: u8 = 3;
/// Exit code of `status --check` when anything is stale.
const STALE: u8 = 4;

/// What a command that ran stages prints.
#[derive(Clone, Copy)]
enum Show<'a> {
    /// The path of the picture, or of the page that is published.
    Picture,
    /// The path of the last stage's artifact, which is also copied to a place the user named.
    Artifact(Option<&'a Path>),
}

/// Runs a command; what goes wrong is part of the answer.
pub fn execute(cli: Cli, reporter: Arc<dyn Reporter>) -> Answer {
    let began = Instant::now();
    let Cli { global, command } = cli;
    let (json, name) = (global.json, command.name());
    let heard = Arc::new(Heard::new(reporter));
    let answer = App { global, reporter: heard.clone() }.start(command);
    for line in store::not_promised() {
        heard.event(&Event::Warning(line));
    }
    let answer = answer.unwrap_or_else(|error| Answer::failed(&error));
    if json { answer.into_json(name, began, &heard.warnings()) } else { answer }
}

/// What is asked for, and where that comes from beside flags.
struct Asking {
    request: Request,
    file: File,
    last: Option<Remembered>,
}

struct App {
    global: Global,
    reporter: Arc<dyn Reporter>,
}

impl App {
    fn start(&self, command: Command) -> Result<Answer> {
        if let Some(threads) = self.global.threads {
            if !(1..=1024).contains(&threads) {
                bail!(Halt::Usage(format!("--threads is {threads}; it can be 1 to 1024")));
            }
            rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("cannot start the threads")?;
        }
        self.answer_to(command)
    }

    fn answer_to(&self, command: Command) -> Result<Answer> {
        match command {
            Command::Run(args) => self.run(args),
            Command::Embed(args) => self.embed(args),
            Command::Project(args) => self.project(args),
            Command::Assign(args) => self.assign(args),
            Command::Render(args) => self.render(args),
            Command::Publish(args) => self.publish(args),
            Command::Status(args) => self.status(args),
            Command::Config(args) => self.config(args),
            Command::Sources(args) => self.sources(args),
            Command::List(args) => self.list(args),
            Command::Verify => self.verify(),
            Command::Gc(args) => self.gc(&args),
            Command::Export(args) => {
                let (rows, names) = export::export(&self.store(), &args.file, args.vector)?;
                let beside = names.as_ref().map(|names| format!("; whose they are is in {}", names.display()));
                let order = "in the order of source and path";
                self.note(format!("{}, {order}{}", counted(rows, "row"), beside.unwrap_or_default()));
                let object = json!({"output": args.file, "rows": rows, "names": names});
                Ok(self.answer(args.file.display().to_string(), object))
            }
            Command::Search(args) => self.search(args),
            Command::Duplicates => self.duplicates(),
            Command::Sample(args) => {
                let zips = args.zip.then_some(args.parts);
                let options = sample::Options { images: args.images, seed: args.seed, layout: args.layout, zips };
                let sources = sample::write(&args.dir, &options)?;
                let lines: Vec<String> = sources.iter().map(|source| source.display().to_string()).collect();
                let object = json!({"output": args.dir, "images": args.images, "sources": sources});
                Ok(self.answer(lines.join("\n"), object))
            }
            Command::Demo(args) => self.demo(&args),
            Command::Completions { shell } => {
                let mut text = Vec::new();
                clap_complete::generate(shell, &mut cli::command(), "tsne-grid", &mut text);
                Ok(Answer::text(String::from_utf8(text)?))
            }
            Command::Man => {
                let mut text = Vec::new();
                clap_mangen::Man::new(cli::command()).render(&mut text)?;
                Ok(Answer::text(String::from_utf8(text)?))
            }
        }
    }

    fn store(&self) -> Store {
        Store::new(self.global.cache.clone().unwrap_or_else(|| "cache".into()))
    }

    fn context(&self, store: Store, request: &Request, keep_latest: bool) -> Context {
        let LimitSettings { max_file, max_pixels, memory, .. } = request.settings.limits;
        let decoding = if memory > 0 { u64::from(memory) << 20 } else { memory::for_decoding() };
        let budget = Budget {
            max_file: u64::from(max_file) << 20,
            max_pixels: u64::from(max_pixels) * 1_000_000,
            ..Budget::new(decoding)
        };
        Context { store, reporter: self.reporter.clone(), budget, keep_latest }
    }

    fn hub(&self) -> Hub {
        Hub { models: Store::new(&self.global.models), offline: self.global.offline, reporter: self.reporter.clone() }
    }

    fn request(&self, common: Common, stages: StageFlags) -> Result<Request> {
        let asked = self.asked(common, stages, false)?;
        if let Some(last) = asked.last {
            self.note(last.told());
        }
        Ok(asked.request)
    }

    /// What is asked for; unless `alone`, what was asked with the last sources holds where no others are named.
    fn asked(&self, common: Common, stages: StageFlags, alone: bool) -> Result<Asking> {
        let file = File::read(self.global.config.as_deref())?;
        let Common { sources, relayout, keep, replace, gather, source, limits, .. } = common;
        let StageFlags { embed, project, assign, render } = stages;
        let mut flags = Asked::from([
            ("source".to_owned(), source.given()),
            ("limits".to_owned(), limits.given()),
            ("embed".to_owned(), embed.given()),
            ("project".to_owned(), project.given()),
            ("assign".to_owned(), assign.given()),
            ("render".to_owned(), render.given()),
        ]);
        flags.retain(|_, keys| !keys.is_empty());
        let mut settings = file.over(&Asked::default())?;
        let named = alone
            || gather.list.is_some()
            || !sources.is_empty()
            || source.paths.is_some()
            || !settings.source.paths.is_empty();
        let mut last = if named { None } else { Remembered::load(&self.store()) };
        if let Some(remembered) = &last {
            match file.over(&remembered.settings()) {
                Ok(layered) => settings = layered,
                Err(error) => {
                    self.reporter.event(&Event::Warning(error.to_string()));
                    last = None;
                }
            }
        }
        embed.apply(&mut settings.embed);
        project.apply(&mut settings.project);
        assign.apply(&mut settings.assign);
        render.apply(&mut settings.render);
        source.apply(&mut settings.source);
        limits.apply(&mut settings.limits);
        settings.check()?;
        let gathered = shares::gathered(&gather)?.or_else(|| last.as_ref().and_then(|last| last.gathered.clone()));
        let gathering = gathered
            .map(|named| shares::gathering(named, &sources, &mut settings, &flags, &self.store()))
            .transpose()?;
        let (hub, asked) = (self.hub(), flags);
        let request = Request { sources, settings, hub, relayout, keep, replace, asked, publishing: None, gathering };
        Ok(Asking { request, file, last })
    }

    /// The settings in force, each with its origin.
    fn config(&self, args: RunArgs) -> Result<Answer> {
        let Asking { mut request, file, last } = self.asked(args.common, args.stages, false)?;
        let mut remembered = last.as_ref().map(Remembered::settings).unwrap_or_default();
        let paths = &mut request.settings.source.paths;
        match &last {
            _ if !request.sources.is_empty() => {
                paths.clone_from(&request.sources);
                request.asked.entry("source".into()).or_default().insert("paths".into(), json!(paths));
            }
            Some(last) if paths.is_empty() => {
                paths.clone_from(&last.sources);
                remembered.entry("source".into()).or_default().insert("paths".into(), json!(paths));
            }
            _ => {}
        }
        let origin = |setting: (&str, &str)| file.origin(setting, &remembered, &request.asked);
        let text = written(&request.settings, origin).context("a path among the settings is no text")?;
        let mut from = json!({});
        for (table, keys) in Settings::TABLES {
            for key in keys {
                from[table][key] = json!(origin((table, key)).to_string());
            }
        }
        Ok(self.answer(text.trim_end().to_owned(), json!({"settings": request.settings, "from": from})))
    }

    fn note(&self, text: String) {
        self.reporter.event(&Event::Note(text));
    }

    /// One line, or with `--json` an object.
    fn answer(&self, line: String, object: Value) -> Answer {
        Answer::new(line, object)
    }

    fn run(&self, args: RunArgs) -> Result<Answer> {
        let dry_run = args.common.dry_run;
        let request = self.request(args.common, args.stages)?;
        self.bring(self.store(), &request, Stage::Render, dry_run, Show::Picture)
    }

    /// Brings stages up to date, or says what that would do.
    fn bring(&self, store: Store, request: &Request, last: Stage, dry_run: bool, show: Show<'_>) -> Result<Answer> {
        let ctx = &self.context(store, request, true);
        if dry_run {
            let Outcome { standings, preflight, .. } = pipeline::status(ctx, request, last)?;
            preflight.iter().flat_map(Preflight::lines).for_each(|line| self.note(line));
            return Ok(self.answer(answer::table(&standings), json!({"stages": standings, "preflight": preflight})));
        }
        let _lock = pipeline::lock(&ctx.store, &*self.reporter)?;
        let outcome = pipeline::run(ctx, request, last)?;
        let made = match last {
            Stage::Embed => outcome.embedded.as_ref().map(|embedded| &embedded.index),
            Stage::Project => outcome.project.as_ref(),
            Stage::Assign => outcome.assign.as_ref(),
            Stage::Render => outcome.render.as_ref(),
        };
        let line = match (show, made) {
            (Show::Artifact(copy), Some(made)) => {
                if let Some(copy) = copy {
                    copy_if_changed(&made.path, copy)?;
                }
                made.path.display().to_string()
            }
            _ => match &request.publishing {
                Some(publishing) => publishing.page().display().to_string(),
                None => request.settings.render.output.display().to_string(),
            },
        };
        let mut answer = self.answer(line, answer::outcome(&outcome, request));
        answer.told = matches!(show, Show::Picture);
        let defective = outcome.embedded.is_some_and(|embedded| embedded.counts.defective > 0);
        if request.settings.source.strict && defective {
            answer.code = SKIPPED;
        }
        Ok(answer)
    }

    fn embed(&self, args: EmbedArgs) -> Result<Answer> {
        let dry_run = args.common.dry_run;
        let stages = StageFlags { embed: args.embed, ..StageFlags::default() };
        if let Some(shard) = args.shard.shard {
            return self.shard(args.common, stages, shard, args.shard);
        }
        let request = self.request(args.common, stages)?;
        self.bring(self.store(), &request, Stage::Embed, dry_run, Show::Artifact(args.artifact.as_deref()))
    }

    fn project(&self, args: ProjectArgs) -> Result<Answer> {
        let stages = StageFlags { embed: args.embed, project: args.project, ..StageFlags::default() };
        self.stage(Stage::Project, args.common, args.tables, stages, |ctx, request, table| {
            project::run_table(ctx, &request.settings.project, table)
        })
    }

    fn assign(&self, args: AssignArgs) -> Result<Answer> {
        let AssignArgs { common, tables, embed, project, assign } = args;
        let stages = StageFlags { embed, project, assign, ..StageFlags::default() };
        self.stage(Stage::Assign, common, tables, stages, |ctx, request, table| {
            assign::state(ctx, &request.settings.assign, &assign::Input::table(ctx, table)?, None)?.made(ctx)
        })
    }

    fn render(&self, args: RenderArgs) -> Result<Answer> {
        self.stage(Stage::Render, args.run.common, args.tables, args.run.stages, pipeline::render_table)
    }

    /// The wall of the last run as a folder for a static host.
    fn publish(&self, args: PublishArgs) -> Result<Answer> {
        let PublishArgs { dir, title, description, base_url, originals, iiif } = args;
        let mut request = self.request(Common::default(), StageFlags::default())?;
        let base_url = base_url.unwrap_or_default();
        request.publishing = Some(Publishing { folder: dir, title, description, base_url, originals, iiif });
        let with = if originals { "the original files" } else { "pictures made smaller, no original" };
        let published = self.bring(self.store(), &request, Stage::Render, false, Show::Picture)?;
        self.note(format!(
            "nothing was sent anywhere: the folder is for a web host of yours; it has {with}, captions, dates and names"
        ));
        Ok(published)
    }

    /// A stage, and what it needs before it; or, with `--input`, `from_table` alone, while
    /// `latest/` keeps following the sources.
    fn stage(
        &self,
        stage: Stage,
        common: Common,
        tables: Tables,
        stages: StageFlags,
        from_table: impl FnOnce(&Context, &Request, &Named) -> Result<Made>,
    ) -> Result<Answer> {
        let dry_run = common.dry_run;
        let Tables { input, artifact, id } = tables;
        let Some(input) = input else {
            let request = self.request(common, stages)?;
            return self.bring(self.store(), &request, stage, dry_run, Show::Artifact(artifact.as_deref()));
        };
        ensure!(common.gather.list.is_none(), Halt::Usage("--input and --list are two beginnings; name one".into()));
        let request = self.asked(common, stages, true)?.request;
        let store = self.store();
        let _lock = pipeline::lock(&store, &*self.reporter)?;
        let made = from_table(&self.context(store, &request, false), &request, &Named { path: input, id })?;
        if let Some(copy) = artifact {
            copy_if_changed(&made.path, &copy)?;
        }
        Ok(self.answer(made.path.display().to_string(), answer::made(&made)))
    }

    fn status(&self, args: StatusArgs) -> Result<Answer> {
        let request = self.request(args.run.common, args.run.stages)?;
        let ctx = &self.context(self.store(), &request, true);
        let standings = pipeline::status(ctx, &request, args.up_to)?.standings;
        let stale = standings.iter().any(|standing| !standing.fresh);
        let mut answer = self.answer(answer::table(&standings), json!({"stages": standings, "fresh": !stale}));
        if args.check && stale {
            answer.code = STALE;
        }
        Ok(answer)
    }

    fn sources(&self, SourcesArgs { sources, source, limits }: SourcesArgs) -> Result<Answer> {
        let common = Common { sources, source, limits, ..Common::default() };
        let request = self.request(common, StageFlags::default())?;
        let recognised = pipeline::sources(&self.context(self.store(), &request, false), &request)?;
        Ok(self.answer(harmless(&recognised.text()), json!(recognised)))
    }

    fn verify(&self) -> Result<Answer> {
        let store = self.store();
        ensure!(store.root().is_dir(), "there is no cache at {}", store.root().display());
        // A run that seals its parts removes files; that is no damage.
        let _lock = pipeline::lock(&store, &*self.reporter)?;
        let mut report = store.verify()?;
        let models = self.hub().models;
        if models.root().is_dir() {
            let weights = models.verify()?;
            report.intact += weights.intact;
            report.bytes += weights.bytes;
            report.damaged.extend(weights.damaged);
        }
        for line in &report.damaged {
            self.reporter.event(&Event::Warning(line.clone()));
        }
        let summary = format!("{} intact, {} damaged", counted(report.intact, "file"), thousands(report.damaged.len()));
        let object = json!({"intact": report.intact, "bytes": report.bytes, "damaged": report.damaged});
        let mut answer = self.answer(summary, object);
        answer.code = u8::from(!report.damaged.is_empty());
        Ok(answer)
    }

    fn gc(&self, args: &GcArgs) -> Result<Answer> {
        let store = self.store();
        let _lock = pipeline::lock(&store, &*self.reporter)?;
        let options = GcOptions {
            dry_run: args.dry_run,
            keep_last: args.keep_last,
            max_size: args.max_size,
            older_than: args.older_than,
        };
        let report = pipeline::gc(&store, &options)?;
        let verb = if args.dry_run { "would drop" } else { "dropped" };
        let (dropped, mb) = (counted(report.dropped.len(), "file"), |bytes: u64| bytes as f64 / 1e6);
        let summary =
            format!("{verb} {dropped}, {:.1} MB; {:.1} MB stay", mb(report.dropped_bytes), mb(report.kept_bytes));
        let object = json!({
            "dropped": report.dropped, "dropped_bytes": report.dropped_bytes,
            "kept_bytes": report.kept_bytes, "dry_run": args.dry_run,
        });
        Ok(self.answer(summary, object))
    }

    /// Texts are read with the weights of `[embed]` if they are those of the model that knows texts.
    fn search(&self, args: SearchArgs) -> Result<Answer> {
        let named = args.weights;
        // With weights of one's own it is they that say which vectors are meant, and not the last run.
        let mut request = self.asked(Common::default(), StageFlags::default(), named.is_some())?.request;
        if let Some(weights) = &named {
            request.settings.embed.weights = weights.clone();
        }
        let ctx = self.context(self.store(), &request, false);
        let embed = &request.settings.embed;
        // Where the weights of a model are that cannot read says nothing of those that can.
        let texts = match Speaking::of(embed.model) {
            Some(_) => embed.clone(),
            None => {
                EmbedSettings { fetch: embed.fetch, weights: named.unwrap_or_default(), ..EmbedSettings::default() }
            }
        };
        let search =
            Search { store: &ctx.store, hub: &request.hub, budget: &ctx.budget, settings: embed, texts: &texts };
        let terms = |asked: fn(String) -> search::Asked, texts: &[String], sign: f64| {
            texts.iter().map(|text| Term::new(asked, text, sign)).collect::<Vec<_>>()
        };
        let all = [
            terms(search::Asked::Text, &args.texts, 1.0),
            terms(search::Asked::Like, &args.like, 1.0),
            terms(search::Asked::Text, &args.not, -1.0),
            terms(search::Asked::Like, &args.not_like, -1.0),
        ];
        let hits = search.find(&all.concat(), args.limit as usize)?;
        if args.null && !self.global.json {
            let files = pipeline::files(&ctx, &request, hits.iter().map(|hit| (&*hit.source, &*hit.path)))?;
            let text = files.iter().map(|file| format!("{}\0", file.display())).collect();
            return Ok(Answer::text(text));
        }
        let mut object = json!({"pictures": hits});
        for (name, asked) in [("like", &args.like), ("not", &args.not), ("not_like", &args.not_like)] {
            if !asked.is_empty() {
                object[name] = json!(asked);
            }
        }
        match args.texts.as_slice() {
            [] => {}
            [text] => object["text"] = json!(text),
            texts => object["text"] = json!(texts),
        }
        Ok(self.answer(harmless(&search::table(&hits)), object))
    }

    fn duplicates(&self) -> Result<Answer> {
        let request = self.request(Common::default(), StageFlags::default())?;
        // `latest/` goes on being that of the last run.
        let ctx = self.context(self.store(), &request, false);
        let _lock = pipeline::lock(&ctx.store, &*self.reporter)?;
        let sets = duplicates::copies(pipeline::duplicates(&ctx, &request)?);
        Ok(self.answer(harmless(&duplicates::text(&sets)), json!({"sets": sets})))
    }

    /// The sample, laid out with the model that is built in; everything in one folder.
    fn demo(&self, args: &DemoArgs) -> Result<Answer> {
        let export = args.dir.join("export");
        let options = sample::Options { images: args.images, seed: 0, layout: sample::Layout::G4, zips: None };
        sample::write(&export, &options)?;
        let mut settings = Settings::default();
        settings.embed.model = ModelName::Lite0;
        settings.render.output = args.dir.join("grid.jpg");
        let cache = self.global.cache.clone().unwrap_or_else(|| args.dir.join("cache"));
        let mut asked = Asked::new();
        asked.entry("embed".into()).or_default().insert("model".into(), json!(settings.embed.model));
        asked.entry("render".into()).or_default().insert("output".into(), json!(settings.render.output));
        let request = Request {
            sources: vec![export],
            settings,
            hub: self.hub(),
            relayout: false,
            keep: false,
            replace: false,
            asked,
            publishing: None,
            gathering: None,
        };
        self.bring(Store::new(cache), &request, Stage::Render, false, Show::Picture)
    }
}
