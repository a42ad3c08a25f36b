//! Folders of messages outside of an export that is known: Facebook's, and whatever else keeps its threads in
//! `message_1.json`. What other people sent is not for a wall: the folder is one line, and nothing in it is opened.

use std::collections::{BTreeMap, BTreeSet};

use super::Listing;
use crate::artifact::Reason;
use crate::report::counted;

/// Folders that are told by their names alone: in one part of several the messages themselves may be missing.
const NAMED: [&str; 4] = [
    "your_facebook_activity/messages",
    "your_activity_across_facebook/messages",
    "messages/e2ee_cutover",
    "messages/stickers_used",
];

/// Takes folders of messages off the list.
pub(super) fn annotate(listing: &mut Listing) {
    let paths = listing.entries.iter().map(|entry| entry.path.as_str());
    let folders: BTreeSet<String> = paths.filter_map(told).map(str::to_owned).collect();
    if folders.is_empty() {
        return;
    }
    let mut private: BTreeMap<_, usize> = BTreeMap::new();
    listing.entries.retain(|entry| {
        let Some(folder) = prefixes(&entry.path).find(|folder| folders.contains(*folder)) else { return true };
        *private.entry((entry.source.clone(), folder.to_owned())).or_default() += 1;
        false
    });
    listing.skipped.retain(|row| !prefixes(&row.path).any(|folder| folders.contains(folder)));
    for ((source, folder), files) in private {
        listing.skip(
            folder,
            &source,
            Reason::NotSelected,
            format!("messages ({}), which are never opened", counted(files, "file")),
        );
    }
}

/// The folder of messages that the file at `path` tells of.
fn told(path: &str) -> Option<&str> {
    let named = |folder: &&str| NAMED.iter().any(|name| *folder == *name || folder.ends_with(&format!("/{name}")));
    let messages = |folder: &&str| folder.rsplit('/').next() == Some("messages");
    prefixes(path).find(named).or_else(|| is_thread(path.rsplit('/').next()?).then(|| prefixes(path).find(messages))?)
}

/// Whether a file is called as Meta calls those of a conversation: `message_1.json`.
fn is_thread(name: &str) -> bool {
    let stem = name.strip_suffix(".json").or_else(|| name.strip_suffix(".html"));
    let number = stem.and_then(|stem| stem.strip_prefix("message_"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The folders around a file, the outermost first.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_messages_are_told_by_their_conversations() {
        for (path, expected) in [
            ("fb/messages/archive/a_1/message_1.json", Some("fb/messages")),
            ("messages/e2ee_cutover/a_1/photos/1.jpg", Some("messages/e2ee_cutover")),
            ("fb/your_facebook_activity/messages/photos/1.jpg", Some("fb/your_facebook_activity/messages")),
            ("messages/photos/1.jpg", None),
            ("letters/message_1.json", None),
            ("messages/message_in_a_bottle.json", None),
        ] {
            assert_eq!(told(path), expected, "{path}");
        }
    }
}
