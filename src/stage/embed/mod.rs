//! `embed`: every picture that is new to the model is read, decoded and embedded; the rest is
//! looked up.

mod network;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::mpsc::sync_channel;

use anyhow::{Result, anyhow};
use arrow::array::RecordBatch;
use image::RgbImage;
use rayon::prelude::*;

use network::Network;

use super::{Context, Facts, Made};
use crate::artifact::rows::{EmbedRow, ImageRow, Row, SkippedRow};
use crate::artifact::shards::{self, Library};
use crate::artifact::{Artifact, Reason, content_digest};
use crate::config::Kind;
use crate::model::Chosen;
use crate::photo;
use crate::source::{Entry, Fate, Known, Listing, Seen};
use crate::store::{self, Digest, Key, read_only};

/// Inputs decoded together while the network works on those before them.
const CHUNK: usize = 32;

/// What one input turned out to be.
#[derive(Clone, Debug)]
pub enum Finding {
    /// A picture, good or bad: its blake3, its size and its fate.
    Picture(String, u64, Fate),
    /// Not readable as a picture: reason and detail.
    Refused(Reason, String),
}

/// The tables that `embed` brings up to date.
pub struct Embedded {
    /// `images`.
    pub images: Made,
    /// `skipped`.
    pub skipped: Made,
    /// The index.
    pub embed: Made,
    /// The counts of the summary.
    pub counts: Counts,
}

/// How the inputs add up: `inputs = pictures + duplicates + skipped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Everything the sources hold.
    pub inputs: usize,
    /// Different pictures in the grid.
    pub pictures: usize,
    /// Further inputs with the bytes of one of them.
    pub duplicates: usize,
    /// Inputs that are not in the grid.
    pub skipped: usize,
    /// Of the skipped: those with a defect (not merely deselected or of another kind).
    pub defective: usize,
    /// Of the pictures: damaged, but shown.
    pub damaged: usize,
    /// Pictures embedded in this run.
    pub embedded: usize,
    /// Pictures of the last run that are not in this one.
    pub gone: usize,
}

/// The key of the index over `images`.
pub fn key(chosen: &Chosen, images: &BTreeSet<String>) -> Key {
    let mut hasher = blake3::Hasher::new();
    for image in images {
        hasher.update(image.as_bytes());
    }
    Key {
        stage: EmbedRow::STAGE.into(),
        version: EmbedRow::FORMAT,
        params: chosen.params.clone(),
        inputs: BTreeMap::from([("images".into(), Digest::from_hasher(&hasher))]),
    }
}

/// The key of `images` or `skipped`: tables of what was found, determined by their rows.
pub fn table_key<R: Row>(batch: &RecordBatch) -> Key {
    Key {
        stage: R::STAGE.into(),
        version: R::FORMAT,
        params: serde_json::json!({}),
        inputs: BTreeMap::from([("rows".to_owned(), content_digest(batch))]),
    }
}

/// What each input is, as far as it is known without decoding: from earlier runs, or from the
/// first bytes of what is no picture; `read` also reads and hashes the pictures that are new.
pub fn survey(ctx: &Context, entries: &[Entry], seen: &Seen, read: bool) -> Vec<Option<Finding>> {
    let look = |entry: &Entry| {
        if let Some((image, (bytes, fate))) = seen.image(entry).and_then(|image| Some((image, seen.fate(image)?))) {
            return Some(Finding::Picture(image.to_owned(), *bytes, fate.clone()));
        }
        if !read {
            return entry.refusal().map(|no| Finding::Refused(no.reason, no.detail));
        }
        Some(match entry.read(&ctx.budget) {
            Ok(bytes) => known(ctx, &bytes, seen),
            Err(no) => Finding::Refused(no.reason, no.detail),
        })
    };
    entries.par_iter().map(look).collect()
}

/// What bytes are, without decoding them.
fn known(ctx: &Context, bytes: &[u8], seen: &Seen) -> Finding {
    let image = Digest::of(bytes).to_string();
    let fate = match seen.fate(&image) {
        Some((_, fate)) => fate.clone(),
        None => match photo::probe(bytes, &ctx.budget) {
            Ok((facts, damage)) => Fate::Good(facts, damage.map(str::to_owned)),
            // A limit is this machine's, not the picture's: it is not remembered.
            Err(no) if no.reason == photo::Reason::TooLarge => return Finding::Refused(Reason::TooLarge, no.detail),
            Err(no) => Fate::Bad(no.reason.into(), no.detail),
        },
    };
    Finding::Picture(image, bytes.len() as u64, fate)
}

/// The pictures among the findings that may be in the grid.
pub fn good_images(findings: &[Option<Finding>], strict: bool) -> BTreeSet<String> {
    let good = findings.iter().flatten().filter_map(|finding| match finding {
        Finding::Picture(image, _, Fate::Good(_, damage)) if !(strict && damage.is_some()) => Some(image.clone()),
        _ => None,
    });
    good.collect()
}

/// What there is to embed, known before the first picture is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Ahead {
    /// Pictures that are known to have no vector.
    pub new: usize,
    /// Pictures that are known to have one.
    pub reused: usize,
    /// Inputs that have to be read before that is known.
    pub unread: usize,
}

impl Ahead {
    /// Counts, given the pictures that have vectors.
    pub fn of(findings: &[Option<Finding>], embedded: &BTreeSet<String>, strict: bool) -> Self {
        let good = good_images(findings, strict);
        let reused = good.intersection(embedded).count();
        let unread = findings.iter().filter(|finding| finding.is_none()).count();
        Self { new: good.len() - reused, reused, unread }
    }
}

/// Brings the embeddings of the listed inputs up to date; `findings` is what [`survey`] knows of
/// them. If there may be anything to embed, `announce` is told before the first picture is decoded.
///
/// # Errors
/// When the cache cannot be read or written, the model fails, the user interrupts, or no picture
/// is left.
pub fn run(
    ctx: &Context,
    listing: &Listing,
    mut findings: Vec<Option<Finding>>,
    seen: &Seen,
    chosen: &Chosen,
    strict: bool,
    announce: impl FnOnce(&[Option<Finding>], Ahead),
) -> Result<Embedded> {
    let entries = &listing.entries;
    let mut embedded = 0;
    let ready = findings.iter().all(Option::is_some).then(|| key(chosen, &good_images(&findings, strict)));
    let found = ready.and_then(|key| ctx.look_up(&key));
    let found = match found {
        Some(made) if shards::complete(&ctx.store, &made.artifact)? => Some(made),
        _ => None,
    };
    let made = match found {
        Some(made) => made,
        None => {
            let mut library = Library::open(&ctx.store, &chosen.params, chosen.dim, |warning| ctx.warn(warning));
            let before = library.len();
            let ahead = Ahead::of(&findings, &library.names(), strict);
            if ahead.new + ahead.unread > 0 {
                announce(&findings, ahead);
            }
            embed_missing(ctx, entries, seen, chosen, &mut findings, &mut library)?;
            embedded = library.len() - before;
            library.seal()?;
            let images = good_images(&findings, strict);
            if images.is_empty() {
                return Err(nothing_left(listing, &findings));
            }
            let key = key(chosen, &images);
            match ctx.look_up(&key) {
                Some(made) if shards::complete(&ctx.store, &made.artifact)? => made,
                _ => publish_index(ctx, chosen, &library, key, &images)?,
            }
        }
    };
    let (images, skipped) = tables(listing, &findings, strict);
    let gone = previous_images(ctx).difference(&good_images(&findings, strict)).count();
    let counts = count(listing, &images, &skipped, embedded, gone);
    let (images, skipped) = (ImageRow::to_batch(&images), SkippedRow::to_batch(&skipped));
    let images = ctx.bring(table_key::<ImageRow>(&images), || Ok((images, Facts::new())))?;
    let skipped = ctx.bring(table_key::<SkippedRow>(&skipped), || Ok((skipped, Facts::new())))?;
    ctx.latest(&made)?;
    remember(ctx, entries, seen, &findings);
    Ok(Embedded { images, skipped, embed: made, counts })
}

fn publish_index(
    ctx: &Context,
    chosen: &Chosen,
    library: &Library,
    key: Key,
    images: &BTreeSet<String>,
) -> Result<Made> {
    let (rows, content) = library.index(images)?;
    let mut facts = Facts::from([("dim".to_owned(), chosen.dim.to_string())]);
    facts.extend(chosen.origin());
    let mut artifact = Artifact::new(key, EmbedRow::to_batch(&rows), facts);
    // What the next stage reads are the vectors, not the places where they happen to be.
    artifact.header.content = content;
    // An index whose shards were lost is in the way of the new one.
    if let Some(stale) = ctx.store.find(EmbedRow::STAGE, &artifact.header.key.digest()) {
        store::remove(&stale)?;
    }
    ctx.publish(artifact)
}

/// The pictures of the last run's index.
pub fn previous_images(ctx: &Context) -> BTreeSet<String> {
    let rows = ctx.store.latest("embed.parquet").and_then(|path| {
        let artifact = Artifact::decode(ctx.store.read(&path).ok()?).ok()?;
        EmbedRow::from_batch(&artifact.batch).ok()
    });
    rows.unwrap_or_default().into_iter().map(|row| row.image).collect()
}

/// An input that was read in this run.
enum Read {
    Finding(Finding),
    /// A picture to embed, as the model's input.
    ToEmbed(Finding, RgbImage),
}

/// Reads what is not known, and embeds what has no vector: one thread reads and decodes ahead,
/// this one feeds the network and commits.
fn embed_missing(
    ctx: &Context,
    entries: &[Entry],
    seen: &Seen,
    chosen: &Chosen,
    findings: &mut [Option<Finding>],
    library: &mut Library,
) -> Result<()> {
    let missing = |finding: &Option<Finding>| match finding {
        None => true,
        Some(Finding::Picture(image, _, Fate::Good(..))) => !library.contains(image),
        Some(_) => false,
    };
    let todo: Vec<usize> = (0..entries.len()).filter(|&i| missing(&findings[i])).collect();
    if todo.is_empty() {
        return Ok(());
    }
    let bar = ctx.reporter.bar("embedding", todo.len() as u64, false);
    let present: BTreeSet<String> = library.names();
    let read = |&i: &usize| read_one(&entries[i], seen, &present, chosen, ctx);
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Vec<Read>>(1);
        let chunks = todo.chunks(CHUNK);
        let reading = chunks.clone();
        scope.spawn(move || {
            for chunk in reading {
                // The receiver is gone when the run was interrupted or failed.
                if ctx.reporter.interrupted() || sender.send(chunk.par_iter().map(read).collect()).is_err() {
                    break;
                }
            }
        });
        let mut network = Network::new(ctx, chosen, library, &*bar);
        for chunk in chunks {
            let Ok(reads) = receiver.recv() else { break };
            for (&i, read) in chunk.iter().zip(reads) {
                let finding = match read {
                    Read::Finding(finding) => {
                        bar.advance(1);
                        finding
                    }
                    Read::ToEmbed(finding, input) => {
                        network.take(&finding, input)?;
                        finding
                    }
                };
                findings[i] = Some(finding);
            }
            if ctx.reporter.interrupted() {
                break;
            }
        }
        network.finish()?;
        ctx.go_on()
    })
}

fn read_one(entry: &Entry, seen: &Seen, present: &BTreeSet<String>, chosen: &Chosen, ctx: &Context) -> Read {
    let bytes = match entry.read(&ctx.budget) {
        Ok(bytes) => bytes,
        Err(no) => return Read::Finding(Finding::Refused(no.reason, no.detail)),
    };
    let image = Digest::of(&bytes).to_string();
    let bad_before = matches!(seen.fate(&image), Some((_, Fate::Bad(..))));
    if bad_before || present.contains(&image) {
        return Read::Finding(known(ctx, &bytes, seen));
    }
    let size = bytes.len() as u64;
    let decoded = photo::decode(&bytes, &ctx.budget);
    drop(bytes);
    match decoded {
        Ok(photo) => {
            let fate = Fate::Good(photo.facts, photo.damage.map(str::to_owned));
            Read::ToEmbed(Finding::Picture(image, size, fate), chosen.input.of(&photo.pixels))
        }
        Err(no) if no.reason == photo::Reason::TooLarge => Read::Finding(Finding::Refused(Reason::TooLarge, no.detail)),
        Err(no) => Read::Finding(Finding::Picture(image, size, Fate::Bad(no.reason.into(), no.detail))),
    }
}

/// What all inputs with the bytes of one picture together say of it. The source whose name sorts
/// last is right, as a later export's does; within a source, the first of them.
fn known_of_each<'a>(entries: &[Entry], findings: &'a [Option<Finding>]) -> HashMap<&'a str, Known> {
    let mut known: HashMap<&str, Known> = HashMap::new();
    let mut inputs: Vec<_> = entries.iter().zip(findings).collect();
    inputs.sort_by(|(a, _), (b, _)| b.source.cmp(&a.source));
    for (entry, finding) in inputs {
        if let Some(Finding::Picture(image, ..)) = finding {
            known.entry(image).or_default().fill(&entry.known);
        }
    }
    known
}

/// The rows of `images` and `skipped`, in the order of the listing. A picture's first row has what
/// any of its files is known by; the rows of its duplicates have what is said of them.
pub fn tables(listing: &Listing, findings: &[Option<Finding>], strict: bool) -> (Vec<ImageRow>, Vec<SkippedRow>) {
    let mut skipped = listing.skipped.clone();
    let mut all = known_of_each(&listing.entries, findings);
    let mut images = Vec::new();
    let mut first: HashMap<&str, &str> = HashMap::new();
    for (entry, finding) in listing.entries.iter().zip(findings) {
        let (image, bytes, facts, damage) = match finding {
            Some(Finding::Picture(image, bytes, Fate::Good(facts, damage))) => (image, *bytes, facts, damage),
            Some(Finding::Picture(_, _, Fate::Bad(reason, detail)) | Finding::Refused(reason, detail)) => {
                skipped.push(entry.skipped(*reason, detail));
                continue;
            }
            None => continue,
        };
        if let Some(damage) = damage.as_ref().filter(|_| strict) {
            skipped.push(entry.skipped(Reason::Damaged, damage));
            continue;
        }
        let duplicate_of = first.get(image.as_str()).map(|&path| path.to_owned());
        first.entry(image).or_insert(&entry.path);
        let known = all.remove(image.as_str()).unwrap_or_else(|| entry.known.clone());
        let (post, carousel_index) = known.post.map(|member| (member.post.to_string(), member.index)).unzip();
        images.push(ImageRow {
            image: image.clone(),
            path: entry.path.clone(),
            source: entry.source.to_string(),
            kind: known.kind.unwrap_or(Kind::File),
            bytes,
            width: facts.width,
            height: facts.height,
            format: facts.format,
            taken_at: known.taken_at,
            caption: known.caption.as_deref().map(str::to_owned),
            post,
            carousel_index: carousel_index.flatten(),
            uri: known.uri.as_deref().map(str::to_owned),
            duplicate_of,
            damage: damage.clone(),
        });
    }
    skipped.sort_by(|a, b| (&a.source, &a.path).cmp(&(&b.source, &b.path)));
    (images, skipped)
}

fn count(listing: &Listing, images: &[ImageRow], skipped: &[SkippedRow], embedded: usize, gone: usize) -> Counts {
    let duplicates = images.iter().filter(|row| row.duplicate_of.is_some()).count();
    let unlisted = |counts: fn(Reason) -> bool| -> usize {
        listing.unlisted().filter(|(reason, _)| counts(*reason)).map(|(_, more)| more).sum()
    };
    Counts {
        inputs: listing.entries.len() + listing.skipped.len() + unlisted(|_| true),
        pictures: images.len() - duplicates,
        duplicates,
        skipped: skipped.len() + unlisted(|_| true),
        defective: skipped.iter().filter(|row| row.reason.is_defect()).count() + unlisted(Reason::is_defect),
        damaged: images.iter().filter(|row| row.damage.is_some()).count(),
        embedded,
        gone,
    }
}

/// Keeps what was learned for the next run; a cache that cannot be written merely forgets.
fn remember(ctx: &Context, entries: &[Entry], seen: &Seen, findings: &[Option<Finding>]) {
    let pictures = entries.iter().zip(findings).filter_map(|(entry, finding)| match finding {
        Some(Finding::Picture(image, bytes, fate)) => Some((entry, image.as_str(), *bytes, fate)),
        _ => None,
    });
    if let Err(error) = seen.save(&ctx.store, pictures)
        && !error.downcast_ref().is_some_and(read_only)
    {
        ctx.warn(format!("{error:#}; the next run reads every input again"));
    }
}

fn nothing_left(listing: &Listing, findings: &[Option<Finding>]) -> anyhow::Error {
    let (_, skipped) = tables(listing, findings, false);
    let reasons: BTreeSet<String> = skipped.iter().take(5).map(|row| format!("{}: {}", row.path, row.detail)).collect();
    match reasons.is_empty() {
        true => anyhow!("the sources hold no pictures"),
        false => anyhow!(
            "no picture is left of {} inputs ({})",
            skipped.len(),
            reasons.into_iter().collect::<Vec<_>>().join("; ")
        ),
    }
}
