//! Runs each command: turns flags into settings, calls the library, and turns results into text for standard output.

mod cache;
mod queries;
mod response;
mod shares;

pub use response::{Response, usage_error_json};

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;

use crate::artifact::external::TableSpec;
use crate::cli::{
    self, AssignArgs, Cli, Command, CommonArgs, DemoArgs, EmbedArgs, GlobalArgs, ProjectArgs, PublishArgs, RenderArgs,
    RunArgs, SourcesArgs, StageFlags, StatusArgs, TableArgs,
};
use crate::config::{LimitSettings, ModelName, PartialSettings, Settings, SettingsFile, to_toml};
use crate::error::Exit;
use crate::model::Hub;
use crate::photo::Budget;
use crate::pipeline::{self, Outcome, Preflight, Request, SavedRequest};
use crate::render::remark::is_foreign_picture;
use crate::report::{Event, Reporter, pluralise};
use crate::stage::render::Publishing;
use crate::stage::{Cached, Session, Stage, assign, copy_if_changed, project};
use crate::store::{self, Store};
use crate::ui::escape_controls;
use crate::{memory, sample};
use response::WarningCollector;

/// Exit code with `--strict` if an input was skipped because it is defective.
const EXIT_SKIPPED: u8 = 3;
/// Exit code of `status --check` if anything is stale.
const EXIT_STALE: u8 = 4;

/// What a command that runs stages prints on standard output.
#[derive(Clone, Copy)]
enum Printed<'a> {
    /// The path of the drawn grid, or of the published page.
    Picture,
    /// The path of the last stage's artifact, which is also copied to the path of `--artifact`, if given.
    Artifact(Option<&'a Path>),
}

/// Runs a command. Errors are part of the response.
pub fn execute(cli: Cli, reporter: Arc<dyn Reporter>) -> Response {
    let started = Instant::now();
    let Cli { global, command } = cli;
    let (json, name) = (global.json, command.name());
    let collector = Arc::new(WarningCollector::new(reporter));
    let response = App { global, reporter: collector.clone() }.start(command);
    for line in store::disk_limitations() {
        collector.event(&Event::Warning(line));
    }
    let response = response.unwrap_or_else(|error| Response::failed(&error));
    if json { response.into_json(name, started, &collector.warnings()) } else { response }
}

/// A request and the layers of settings besides its flags, from which `config` determines the origin of each value.
struct ResolvedRequest {
    request: Request,
    file: SettingsFile,
    last: Option<SavedRequest>,
}

struct App {
    global: GlobalArgs,
    reporter: Arc<dyn Reporter>,
}

impl App {
    fn start(&self, command: Command) -> Result<Response> {
        if let Some(threads) = self.global.threads {
            if !(1..=1024).contains(&threads) {
                bail!(Exit::Usage(format!("--threads is {threads}; it can be 1 to 1024")));
            }
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build_global()
                .context("cannot start the worker threads")?;
        }
        self.dispatch(command)
    }

    fn dispatch(&self, command: Command) -> Result<Response> {
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
            Command::Export(args) => self.export(&args),
            Command::Search(args) => self.search(args),
            Command::Duplicates => self.duplicates(),
            Command::Sample(args) => {
                let zips = args.zip.then_some(args.parts);
                let options = sample::Options { images: args.images, seed: args.seed, layout: args.layout, zips };
                let sources = sample::write(&args.dir, &options)?;
                let lines: Vec<String> = sources.iter().map(|source| source.display().to_string()).collect();
                let object = json!({"output": args.dir, "images": args.images, "sources": sources});
                Ok(Response::new(lines.join("\n"), object))
            }
            Command::Demo(args) => self.demo(&args),
            Command::Completions { shell } => {
                let mut text = Vec::new();
                clap_complete::generate(shell, &mut cli::command(), "tsne-grid", &mut text);
                Ok(Response::text(String::from_utf8(text)?))
            }
            Command::Man => {
                let mut text = Vec::new();
                clap_mangen::Man::new(cli::command()).render(&mut text)?;
                Ok(Response::text(String::from_utf8(text)?))
            }
        }
    }

    fn store(&self) -> Store {
        Store::new(self.global.cache.clone().unwrap_or_else(|| "cache".into()))
    }

    fn context(&self, store: Store, request: &Request, links_latest: bool) -> Session {
        let LimitSettings { max_file, max_pixels, memory, .. } = request.settings.limits;
        let decoding = if memory > 0 { u64::from(memory) << 20 } else { memory::decoding_budget() };
        let budget = Budget {
            max_file: u64::from(max_file) << 20,
            max_pixels: u64::from(max_pixels) * 1_000_000,
            ..Budget::new(decoding)
        };
        Session { store, reporter: self.reporter.clone(), budget, links_latest }
    }

    fn hub(&self) -> Hub {
        Hub { models: Store::new(&self.global.models), offline: self.global.offline, reporter: self.reporter.clone() }
    }

    fn request(&self, common: CommonArgs, stages: StageFlags) -> Result<Request> {
        let resolved = self.resolve(common, stages, false)?;
        if let Some(last) = resolved.last {
            self.note(last.describe());
        }
        Ok(resolved.request)
    }

    /// Merges all layers of settings into a request. The flags of the last run apply only if neither the command line
    /// nor `pipeline.toml` names a source, and never if `without_last` is set.
    fn resolve(&self, common: CommonArgs, stages: StageFlags, without_last: bool) -> Result<ResolvedRequest> {
        let file = SettingsFile::read(self.global.config.as_deref())?;
        let CommonArgs { sources, relayout, keep, replace, gather, source, limits, .. } = common;
        let StageFlags { embed, project, assign, render } = stages;
        let mut flags = PartialSettings::from([
            ("source".to_owned(), source.explicit_values()),
            ("limits".to_owned(), limits.explicit_values()),
            ("embed".to_owned(), embed.explicit_values()),
            ("project".to_owned(), project.explicit_values()),
            ("assign".to_owned(), assign.explicit_values()),
            ("render".to_owned(), render.explicit_values()),
        ]);
        flags.retain(|_, keys| !keys.is_empty());
        let mut settings = file.layered_over(&PartialSettings::default())?;
        let ignore_last = without_last
            || gather.list.is_some()
            || !sources.is_empty()
            || source.paths.is_some()
            || !settings.source.paths.is_empty();
        let mut last = if ignore_last { None } else { SavedRequest::load(&self.store()) };
        if let Some(saved) = &last {
            match file.layered_over(&saved.settings()) {
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
        let spec = shares::shards_named(&gather)?.or_else(|| last.as_ref().and_then(|last| last.gathered.clone()));
        let shard_input = spec.map(|spec| self.open_shards(spec, &sources, &mut settings, &flags)).transpose()?;
        let hub = self.hub();
        let request = Request { sources, settings, hub, relayout, keep, replace, flags, publishing: None, shard_input };
        Ok(ResolvedRequest { request, file, last })
    }

    /// `config`: prints the settings in force, each with its origin.
    fn config(&self, args: RunArgs) -> Result<Response> {
        let ResolvedRequest { mut request, file, last } = self.resolve(args.common, args.stages, false)?;
        let mut saved = last.as_ref().map(SavedRequest::settings).unwrap_or_default();
        let paths = &mut request.settings.source.paths;
        match &last {
            _ if !request.sources.is_empty() => {
                paths.clone_from(&request.sources);
                request.flags.entry("source".into()).or_default().insert("paths".into(), json!(paths));
            }
            Some(last) if paths.is_empty() => {
                paths.clone_from(&last.sources);
                saved.entry("source".into()).or_default().insert("paths".into(), json!(paths));
            }
            _ => {}
        }
        let origin = |setting: (&str, &str)| file.origin(setting, &saved, &request.flags);
        let text = to_toml(&request.settings, origin).context("a path among the settings is not valid UTF-8")?;
        let mut origins = json!({});
        for (table, keys) in Settings::TABLES {
            for key in keys {
                origins[table][key] = json!(origin((table, key)).to_string());
            }
        }
        Ok(Response::new(text.trim_end().to_owned(), json!({"settings": request.settings, "from": origins})))
    }

    fn note(&self, text: String) {
        self.reporter.event(&Event::Note(text));
    }

    fn run(&self, args: RunArgs) -> Result<Response> {
        let dry_run = args.common.dry_run;
        let request = self.request(args.common, args.stages)?;
        self.run_stages(self.store(), &request, Stage::Render, dry_run, Printed::Picture)
    }

    /// Brings all stages up to `last` up to date; with `dry_run`, only reports what that would do.
    fn run_stages(
        &self,
        store: Store,
        request: &Request,
        last: Stage,
        dry_run: bool,
        printed: Printed<'_>,
    ) -> Result<Response> {
        let session = &self.context(store, request, true);
        if dry_run {
            let Outcome { statuses, preflight, .. } = pipeline::status(session, request, last)?;
            preflight.iter().flat_map(Preflight::lines).for_each(|line| self.note(line));
            return Ok(Response::new(response::table(&statuses), json!({"stages": statuses, "preflight": preflight})));
        }
        let _lock = pipeline::lock(&session.store, &*self.reporter)?;
        let outcome = pipeline::run(session, request, last)?;
        let artifact = match last {
            Stage::Embed => outcome.embedded.as_ref().map(|embedded| &embedded.index),
            Stage::Project => outcome.project.as_ref(),
            Stage::Assign => outcome.assign.as_ref(),
            Stage::Render => outcome.render.as_ref(),
        };
        let line = match (printed, artifact) {
            (Printed::Artifact(copy), Some(artifact)) => {
                if let Some(copy) = copy {
                    copy_if_changed(&artifact.path, copy)?;
                }
                artifact.path.display().to_string()
            }
            _ => match &request.publishing {
                Some(publishing) => publishing.page().display().to_string(),
                None => request.settings.render.output.display().to_string(),
            },
        };
        let mut response = Response::new(line, response::outcome(&outcome, request));
        response.already_shown = matches!(printed, Printed::Picture);
        let defective = outcome.embedded.map_or(0, |embedded| embedded.counts.defective);
        if request.settings.source.strict && defective > 0 {
            let inputs = pluralise(defective, "defective input");
            self.note(format!("exit code {EXIT_SKIPPED}: {inputs} (--strict)"));
            response.code = EXIT_SKIPPED;
        }
        Ok(response)
    }

    fn embed(&self, args: EmbedArgs) -> Result<Response> {
        let dry_run = args.common.dry_run;
        let stages = StageFlags { embed: args.embed, ..StageFlags::default() };
        if let Some(shard) = args.shard.shard {
            return self.shard(args.common, stages, shard, args.shard);
        }
        let request = self.request(args.common, stages)?;
        self.run_stages(self.store(), &request, Stage::Embed, dry_run, Printed::Artifact(args.artifact.as_deref()))
    }

    fn project(&self, args: ProjectArgs) -> Result<Response> {
        let stages = StageFlags { embed: args.embed, project: args.project, ..StageFlags::default() };
        self.stage(Stage::Project, args.common, args.tables, stages, |session, request, table| {
            project::project_table(session, &request.settings.project, table)
        })
    }

    fn assign(&self, args: AssignArgs) -> Result<Response> {
        let AssignArgs { common, tables, embed, project, assign } = args;
        let stages = StageFlags { embed, project, assign, ..StageFlags::default() };
        self.stage(Stage::Assign, common, tables, stages, |session, request, table| {
            assign::state(session, &request.settings.assign, &assign::AssignInput::table(session, table)?, None)?
                .get_or_make(session)
        })
    }

    fn render(&self, args: RenderArgs) -> Result<Response> {
        self.stage(Stage::Render, args.run.common, args.tables, args.run.stages, pipeline::render_table)
    }

    /// `publish`: writes the grid of the last run as a folder for a static web host.
    fn publish(&self, args: PublishArgs) -> Result<Response> {
        let PublishArgs { dir, title, description, base_url, originals, iiif } = args;
        let mut request = self.request(CommonArgs::default(), StageFlags::default())?;
        let base_url = base_url.unwrap_or_default();
        request.publishing = Some(Publishing { folder: dir, title, description, base_url, originals, iiif });
        let (originals, without) = match originals {
            true => (", the original files", ""),
            false => ("", ", but not the original files"),
        };
        let published = self.run_stages(self.store(), &request, Stage::Render, false, Printed::Picture)?;
        self.note(format!(
            "nothing was uploaded: copy the folder to your web host; it contains reduced pictures{originals}, captions, dates \
             and file names{without}"
        ));
        Ok(published)
    }

    /// Runs a stage and the stages before it. With `--input`, runs only `from_table`, and leaves the links in `latest/`
    /// alone, because they describe the last run over the sources.
    fn stage(
        &self,
        stage: Stage,
        common: CommonArgs,
        tables: TableArgs,
        stages: StageFlags,
        from_table: impl FnOnce(&Session, &Request, &TableSpec) -> Result<Cached>,
    ) -> Result<Response> {
        let dry_run = common.dry_run;
        let TableArgs { input, artifact, id } = tables;
        let Some(input) = input else {
            let request = self.request(common, stages)?;
            return self.run_stages(self.store(), &request, stage, dry_run, Printed::Artifact(artifact.as_deref()));
        };
        ensure!(
            common.gather.list.is_none(),
            Exit::Usage("--input and --list cannot be combined: both choose where the run starts".into())
        );
        let request = self.resolve(common, stages, true)?.request;
        let store = self.store();
        let _lock = pipeline::lock(&store, &*self.reporter)?;
        let cached = from_table(&self.context(store, &request, false), &request, &TableSpec { path: input, id })?;
        if let Some(copy) = artifact {
            copy_if_changed(&cached.path, &copy)?;
        }
        Ok(Response::new(cached.path.display().to_string(), response::made(&cached)))
    }

    fn status(&self, args: StatusArgs) -> Result<Response> {
        let request = self.request(args.run.common, args.run.stages)?;
        let session = &self.context(self.store(), &request, true);
        let statuses = pipeline::status(session, &request, args.up_to)?.statuses;
        let stale = statuses.iter().any(|status| !status.fresh);
        let mut response = Response::new(response::table(&statuses), json!({"stages": statuses, "fresh": !stale}));
        if args.check && stale {
            response.code = EXIT_STALE;
        }
        Ok(response)
    }

    fn sources(&self, SourcesArgs { sources, source, limits }: SourcesArgs) -> Result<Response> {
        let common = CommonArgs { sources, source, limits, ..CommonArgs::default() };
        let request = self.request(common, StageFlags::default())?;
        let recognised = pipeline::sources(&self.context(self.store(), &request, false), &request)?;
        Ok(Response::new(escape_controls(&recognised.text()), json!(recognised)))
    }

    /// `demo`: writes a sample export and arranges it with a built-in model, all in one folder.
    fn demo(&self, args: &DemoArgs) -> Result<Response> {
        let export = args.dir.join("export");
        let options = sample::Options { images: args.images, seed: 0, layout: sample::ExportLayout::G4, zips: None };
        let mut settings = Settings::default();
        settings.embed.model = ModelName::Lite0;
        settings.render.output = args.dir.join("grid.jpg");
        if is_foreign_picture(&settings.render.output) {
            let grid = settings.render.output.display();
            bail!(Exit::Usage(format!("{grid} is a picture that tsne-grid did not draw; choose another folder")));
        }
        sample::write(&export, &options)?;
        let cache = self.global.cache.clone().unwrap_or_else(|| args.dir.join("cache"));
        let mut flags = PartialSettings::new();
        flags.entry("embed".into()).or_default().insert("model".into(), json!(settings.embed.model));
        flags.entry("render".into()).or_default().insert("output".into(), json!(settings.render.output));
        let request = Request {
            sources: vec![export],
            settings,
            hub: self.hub(),
            relayout: false,
            keep: false,
            replace: false,
            flags,
            publishing: None,
            shard_input: None,
        };
        self.run_stages(Store::new(cache), &request, Stage::Render, false, Printed::Picture)
    }
}
