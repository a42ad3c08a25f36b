//! `source.films`: which films are read as stills, and what of a film is read for that: its table and one frame, but its
//! name is the digest of all its bytes.

use std::collections::BTreeMap;
use std::io::Read;

use super::entry::{Content, Refusal};
use super::names::composed;
use super::{Entry, Listing};
use crate::artifact::Reason;
use crate::config::{Films, SourceSettings};
use crate::photo::{Budget, Format, MOST_TABLE, Still};
use crate::store::Digest;

/// What films that are read are called.
const SUFFIXES: [&str; 4] = ["mp4", "mov", "m4v", "mp"];
/// What phones write beside the film that belongs to a picture.
const PICTURES: [Format; 2] = [Format::Heic, Format::Jpeg];

/// Lets the films be read that the settings ask for; those that belong to a picture are named with it.
pub(super) fn apply(settings: &SourceSettings, listing: &mut Listing) {
    if settings.films == Films::Skip || !cfg!(feature = "films") {
        return;
    }
    let pictures = pictures(&listing.entries);
    let mut parts = 0;
    for entry in &mut listing.entries {
        let is_posted = entry.known.kind.is_some();
        if !SUFFIXES.contains(&&*entry.suffix()) || entry.still.is_some() {
            continue;
        }
        // A site keeps its films apart from its pictures, whatever they are called.
        let picture = if is_posted { None } else { pictures.get(&stem(entry)).or_else(|| pictures.get(&whole(entry))) };
        parts += usize::from(picture.is_some());
        entry.still = picture.cloned();
        entry.is_film = entry.still.is_none() && (is_posted || settings.films == Films::Still);
    }
    let (films, belong) = if parts == 1 { ("film", "belongs") } else { ("films", "belong") };
    listing.notes.extend((parts > 0 && settings.films == Films::Still).then(|| {
        format!(
            "{parts} {films} {belong} to a picture of the same name (a Live Photo, a motion photo), which stands for it"
        )
    }));
}

/// The source, and the path without its suffix.
type Stem = (std::sync::Arc<str>, String);

fn stem(entry: &Entry) -> Stem {
    let path = entry.path.rsplit_once('.').map_or(&*entry.path, |(stem, _)| stem);
    (entry.source.clone(), composed(path).into_owned())
}

/// `PXL_1.MP` belongs to `PXL_1.MP.jpg`.
fn whole(entry: &Entry) -> Stem {
    (entry.source.clone(), composed(&entry.path).into_owned())
}

/// The pictures that a film may belong to, by their stems.
fn pictures(entries: &[Entry]) -> BTreeMap<Stem, String> {
    let films: std::collections::BTreeSet<Stem> = entries
        .iter()
        .filter(|entry| SUFFIXES.contains(&&*entry.suffix()))
        .flat_map(|entry| [stem(entry), whole(entry)])
        .collect();
    let is = |entry: &&Entry| Format::of_suffix(&entry.suffix()).is_some_and(|format| PICTURES.contains(&format));
    let beside = entries.iter().filter(is).filter(|entry| films.contains(&stem(entry)));
    beside.map(|entry| (stem(entry), entry.path.clone())).collect()
}

/// More boxes of a film are not looked at for its table.
const MOST_BOXES: usize = 64;

/// Reads what stands for a film.
pub(super) fn read<'a>(film: &Entry, budget: &'a Budget) -> Result<Content<'a>, Refusal> {
    let still = still(film)?;
    let hashed = film.open(|stream, size| match size <= budget.max_file {
        true => Digest::of_stream(stream).map(|digest| (digest, size)).map_err(Refusal::unreadable),
        false => {
            let (size, most) = (size >> 20, budget.max_file >> 20);
            Err(no_still(&format!("of {size} MB; the limit is {most} MB, limits.max_file")))
        }
    });
    let hashed = hashed.map_err(Refusal::unreadable)??;
    let (at, length) = (still.place.start, still.place.end - still.place.start);
    let share = budget.files.take(2 * length).ok_or_else(|| no_still("a frame of it is too large"))?;
    let frame = part(film, at, length)?;
    match frame.len() as u64 == length {
        true => Ok(Content { bytes: still.packed(&frame), film: Some(hashed), _share: share }),
        false => Err(no_still("it is cut off")),
    }
}

/// That a film is not read, and why.
fn no_still(why: &str) -> Refusal {
    Refusal::new(Reason::Video, format!("a video ({why})"))
}

/// A part of its bytes, or as much of it as is there.
fn part(film: &Entry, at: u64, length: u64) -> Result<Vec<u8>, Refusal> {
    let read = |stream: &mut dyn Read| {
        let mut bytes = Vec::new();
        stream.take(length).read_to_end(&mut bytes).map(|_| bytes)
    };
    film.open_at(at, read).and_then(|read| read).map_err(Refusal::unreadable)
}

/// Why a film is not read, as far as its table tells.
pub(super) fn refusal(film: &Entry) -> Option<Refusal> {
    still(film).err()
}

/// Finds out what stands for it.
fn still(film: &Entry) -> Result<Still, Refusal> {
    let Some((at, length)) = table(film)? else { return Err(no_still("its table is missing")) };
    if length > MOST_TABLE {
        return Err(no_still("its table is too large"));
    }
    Still::find(&part(film, at, length)?).map_err(|no| Refusal::new(Reason::Video, no.detail))
}

/// Where the body of the first box `moov` lies, and how long it is.
fn table(film: &Entry) -> Result<Option<(u64, u64)>, Refusal> {
    let mut at = 0_u64;
    for _ in 0..MOST_BOXES {
        let head = part(film, at, 16)?;
        let Some((short, kind)) = head.split_first_chunk::<4>().filter(|(_, kind)| kind.len() >= 4) else { break };
        let (short, is_table) = (u32::from_be_bytes(*short), kind.starts_with(b"moov"));
        let (head, length) = match (short, head.last_chunk::<8>()) {
            (0, _) => (8, u64::MAX),
            (1, Some(long)) if head.len() == 16 => (16, u64::from_be_bytes(*long)),
            _ => (8, u64::from(short)),
        };
        let Some(body) = length.checked_sub(head) else { break };
        if is_table {
            return Ok(Some((at + head, body)));
        }
        let Some(next) = at.checked_add(length) else { break };
        at = next;
    }
    Ok(None)
}
