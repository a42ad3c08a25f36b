//! Folders of messages outside a known export: Facebook's, and those of any program that stores its threads in
//! `message_1.json`. What other people sent does not belong on a grid. Each folder is listed in one line, and nothing
//! in it is opened.

use std::collections::{BTreeMap, BTreeSet};

use super::Listing;
use crate::artifact::SkipReason;
use crate::report::pluralise;

/// Folders that are recognised by their names alone. One part of an export may contain such a folder without the
/// messages.
const KNOWN_FOLDERS: [&str; 4] = [
    "your_facebook_activity/messages",
    "your_activity_across_facebook/messages",
    "messages/e2ee_cutover",
    "messages/stickers_used",
];

/// Removes folders of messages from the list, and adds one skipped input for each.
pub(super) fn annotate(listing: &mut Listing) {
    let paths = listing.entries.iter().map(|entry| entry.path.as_str());
    let folders: BTreeSet<String> = paths.filter_map(messages_folder).map(str::to_owned).collect();
    if folders.is_empty() {
        return;
    }
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    listing.entries.retain(|entry| {
        let Some(folder) = prefixes(&entry.path).find(|folder| folders.contains(*folder)) else { return true };
        *counts.entry((entry.source.clone(), folder.to_owned())).or_default() += 1;
        false
    });
    listing.skipped.retain(|row| !prefixes(&row.path).any(|folder| folders.contains(folder)));
    for ((source, folder), files) in counts {
        listing.skip(
            folder,
            &source,
            SkipReason::NotSelected,
            format!("messages ({}), which are never opened", pluralise(files, "file")),
        );
    }
}

/// The folder of messages that the file at `path` belongs to, as far as its path shows.
fn messages_folder(path: &str) -> Option<&str> {
    let has_known_name =
        |folder: &&str| KNOWN_FOLDERS.iter().any(|name| *folder == *name || folder.ends_with(&format!("/{name}")));
    let is_messages_folder = |folder: &&str| folder.rsplit('/').next() == Some("messages");
    prefixes(path)
        .find(has_known_name)
        .or_else(|| is_thread(path.rsplit('/').next()?).then(|| prefixes(path).find(is_messages_folder))?)
}

/// Whether a file has the name that Meta gives to conversations: `message_1.json`.
fn is_thread(name: &str) -> bool {
    let stem = name.strip_suffix(".json").or_else(|| name.strip_suffix(".html"));
    let number = stem.and_then(|stem| stem.strip_prefix("message_"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The folders that contain a file, the outermost first.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(slash, _)| &path[..slash])
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
            assert_eq!(messages_folder(path), expected, "{path}");
        }
    }
}
