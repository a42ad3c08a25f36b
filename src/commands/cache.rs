//! Commands that read or clean the cache: `verify`, `gc`, `export`.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{App, Response};
use crate::cli::{ExportArgs, GcArgs};
use crate::report::{Event, group_digits, pluralise};
use crate::store::GcOptions;
use crate::{export, pipeline};

impl App {
    pub(super) fn verify(&self) -> Result<Response> {
        let store = self.store();
        ensure!(store.root().is_dir(), "there is no cache at {}", store.root().display());
        // A run removes its parts when it joins them into shards. Without the lock, the missing parts would look like
        // damage.
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
        let summary =
            format!("{} intact, {} damaged", pluralise(report.intact, "file"), group_digits(report.damaged.len()));
        let object = json!({"intact": report.intact, "bytes": report.bytes, "damaged": report.damaged});
        let mut response = Response::new(summary, object);
        response.code = u8::from(!report.damaged.is_empty());
        Ok(response)
    }

    pub(super) fn gc(&self, args: &GcArgs) -> Result<Response> {
        let store = self.store();
        let _lock = pipeline::lock(&store, &*self.reporter)?;
        let options = GcOptions {
            dry_run: args.dry_run,
            keep_last: args.keep_last,
            max_size: args.max_size,
            older_than: args.older_than,
        };
        let report = pipeline::gc(&store, &options)?;
        let verb = if args.dry_run { "would delete" } else { "deleted" };
        let (files, mb) = (pluralise(report.dropped.len(), "file"), |bytes: u64| bytes as f64 / 1e6);
        let summary =
            format!("{verb} {files}, {:.1} MB; {:.1} MB remain", mb(report.dropped_bytes), mb(report.remaining_bytes));
        let object = json!({
            "dropped": report.dropped, "dropped_bytes": report.dropped_bytes,
            "kept_bytes": report.remaining_bytes, "dry_run": args.dry_run,
        });
        Ok(Response::new(summary, object))
    }

    pub(super) fn export(&self, args: &ExportArgs) -> Result<Response> {
        let (rows, names) = export::export(&self.store(), &args.file, args.vector)?;
        let names_note =
            names.as_ref().map(|names| format!("; the pictures of the rows are listed in {}", names.display()));
        let order = "ordered by source and path";
        self.note(format!("{}, {order}{}", pluralise(rows, "row"), names_note.unwrap_or_default()));
        let object = json!({"output": args.file, "rows": rows, "names": names});
        Ok(Response::new(args.file.display().to_string(), object))
    }
}
