//! Commands that query the results of the last run: `search` and `duplicates`.

use anyhow::Result;
use serde_json::json;

use super::{App, Response};
use crate::cli::{CommonArgs, SearchArgs, StageFlags};
use crate::config::EmbedSettings;
use crate::model::text::DualEncoder;
use crate::search::{self, Search, Term};
use crate::ui::escape_controls;
use crate::{duplicates, pipeline};

impl App {
    /// `search`: ranks pictures by texts and pictures. Texts are encoded with the settings of `[embed]` if its model
    /// has a text encoder.
    pub(super) fn search(&self, args: SearchArgs) -> Result<Response> {
        let given_weights = args.weights;
        // With --weights, these weights determine which vectors are searched; the flags of the last run do not apply.
        let mut request = self.resolve(CommonArgs::default(), StageFlags::default(), given_weights.is_some())?.request;
        if let Some(weights) = &given_weights {
            request.settings.embed.weights = weights.clone();
        }
        let session = self.context(self.store(), &request, false);
        let embed = &request.settings.embed;
        // If the model has no text encoder, its `weights`, `repo` and `revision` do not belong to one, so texts are
        // encoded with the defaults.
        let texts = match DualEncoder::by_name(embed.model) {
            Some(_) => embed.clone(),
            None => EmbedSettings {
                fetch: embed.fetch,
                weights: given_weights.unwrap_or_default(),
                ..EmbedSettings::default()
            },
        };
        let search = Search {
            store: &session.store,
            hub: &request.hub,
            budget: &session.budget,
            settings: embed,
            texts: &texts,
        };
        let terms = |query: fn(String) -> search::Query, texts: &[String], sign: f64| {
            texts.iter().map(|text| Term::new(query, text, sign)).collect::<Vec<_>>()
        };
        let all = [
            terms(search::Query::Text, &args.texts, 1.0),
            terms(search::Query::Picture, &args.like, 1.0),
            terms(search::Query::Text, &args.not, -1.0),
            terms(search::Query::Picture, &args.not_like, -1.0),
        ];
        let hits = search.find(&all.concat(), args.limit as usize)?;
        if args.null && !self.global.json {
            let files =
                pipeline::original_files(&session, &request, hits.iter().map(|hit| (&*hit.source, &*hit.path)))?;
            let text = files.iter().map(|file| format!("{}\0", file.display())).collect();
            return Ok(Response::text(text));
        }
        let mut object = json!({"pictures": hits});
        for (name, values) in [("like", &args.like), ("not", &args.not), ("not_like", &args.not_like)] {
            if !values.is_empty() {
                object[name] = json!(values);
            }
        }
        match args.texts.as_slice() {
            [] => {}
            [text] => object["text"] = json!(text),
            texts => object["text"] = json!(texts),
        }
        Ok(Response::new(escape_controls(&search::table(&hits)), object))
    }

    pub(super) fn duplicates(&self) -> Result<Response> {
        let request = self.request(CommonArgs::default(), StageFlags::default())?;
        // This is not a run, so `latest/` must keep its links to the tables of the last run.
        let session = self.context(self.store(), &request, false);
        let _lock = pipeline::lock(&session.store, &*self.reporter)?;
        let sets = duplicates::duplicate_sets(pipeline::duplicates(&session, &request)?);
        Ok(Response::new(escape_controls(&duplicates::text(&sets)), json!({"sets": sets})))
    }
}
