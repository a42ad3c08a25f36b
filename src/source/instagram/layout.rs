//! Where each generation of the export keeps what, as data. A new generation is a row or two here
//! and, if its entries have a shape of their own, a reader beside [`super::posts`].
//!
//! | | since | index | media |
//! |---|---|---|---|
//! | G1 | 2018 | `media.json` | `photos/YYYYMM/`, `videos/`, `stories/`, `profile/` |
//! | G2 | 2021 | `content/posts_1.json`, … | `media/posts/YYYYMM/`, … |
//! | G3 | 2024 | `your_instagram_activity/content/posts_1.json`, … | as G2 |
//! | G4 | 2024 | `your_instagram_activity/media/posts_1.json`, … | as G2, and `media/profile/`, `media/reels/` |
//! | G5 | 2025 | beside G4: `your_instagram_activity/media/posts.json` | as G4 |
//!
//! Meta rolls them out account by account, so all of them are known at once and none is assumed.

use crate::config::Kind;

/// Folders with an index, under the export's root: of G2, of G3, of G4 and G5.
const INDEX_FOLDERS: [&str; 3] = ["content/", "your_instagram_activity/content/", "your_instagram_activity/media/"];

/// Indexes of G2 and later: name without number and suffix, and what it lists.
const INDEXES: [(&str, Kind); 8] = [
    ("posts", Kind::Post),
    ("stories", Kind::Story),
    ("reels", Kind::Reel),
    ("igtv_videos", Kind::Reel),
    ("archived_posts", Kind::Archived),
    ("recently_deleted_content", Kind::Archived),
    ("profile_photos", Kind::Profile),
    ("other_content", Kind::Other),
];

/// Folders of pictures of G2 and later, what is in them when no index says so, and whether only an export has such a
/// folder: `media/other/` or `media/profile/` alone may be anybody's.
const FOLDERS: [(&str, Kind, bool); 9] = [
    ("media/posts/", Kind::Post, true),
    ("media/stories/", Kind::Story, true),
    ("media/reels/", Kind::Reel, true),
    ("media/igtv/", Kind::Reel, true),
    ("media/archived_posts/", Kind::Archived, true),
    ("media/recently_deleted/", Kind::Archived, true),
    ("media/profile/", Kind::Profile, false),
    ("media/other/", Kind::Other, false),
    ("media/", Kind::Other, false),
];

/// The lists of G1's index, which are also its folders.
const FIRST_LISTS: [(&str, Kind); 4] =
    [("photos", Kind::Post), ("videos", Kind::Post), ("stories", Kind::Story), ("profile", Kind::Profile)];

/// Never looked into: what an export holds of other people and of the account (in `files`: the
/// site's own logos).
const PRIVATE: [&str; 14] = [
    "messages/",
    "threads/",
    "direct/",
    "your_instagram_activity/",
    "logged_information/",
    "personal_information/",
    "past_instagram_insights/",
    "ads_information/",
    "ads_and_businesses/",
    "apps_and_websites_off_of_instagram/",
    "connections/",
    "preferences/",
    "security_and_login_information/",
    "files/",
];

/// Other folders that only an export has.
const TELLING: [&str; 5] = [
    "your_instagram_activity/",
    "messages/inbox/",
    "messages/message_requests/",
    "messages/archived_threads/",
    "messages/filtered_threads/",
];

/// What a file is to an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Lists pictures.
    Index(Index),
    /// A picture or film, of this kind unless an index says otherwise.
    Media(Kind),
    /// In a folder that is never looked into.
    Private,
    /// A text of the export that lists no pictures: not to be opened either.
    Text,
    /// Not of the export; it merely lies there.
    Foreign,
}

/// How an index is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Index {
    /// Of G2 and later: posts or single pictures, all of one kind. G5's come after those they
    /// complete.
    Posts {
        /// What it lists.
        kind: Kind,
        /// G5: with labels for what the others have fields for.
        labelled: bool,
    },
    /// Of G1: a list for each kind.
    First,
}

/// Whether the name alone tells that `inside` is the path of an export's file under its root.
pub(super) fn tells(inside: &str) -> bool {
    let mut folders = FOLDERS.iter().filter(|(.., tells)| *tells).map(|(folder, ..)| folder).chain(&TELLING);
    folders.any(|folder| inside.starts_with(folder)) || modern_index(inside).is_some()
}

/// Which list of G1 `inside` is in, a path under the root: `photos` of `photos/201903/…`.
pub(super) fn first_folder(inside: &str) -> Option<&str> {
    let (folder, rest) = inside.split_once('/')?;
    let (month, _) = rest.split_once('/')?;
    let known = folder == "direct" || first_list(folder).is_some();
    (known && month.len() == 6 && month.bytes().all(|b| b.is_ascii_digit())).then_some(folder)
}

/// Whether a list of G1 tells an export: others sort their photos by month too.
pub(super) fn first_tells(folder: &str) -> bool {
    matches!(folder, "direct" | "stories")
}

pub(in crate::source) const FIRST_INDEX: &str = "media.json";

/// What the file at `inside` (a path under the root) is; `first` says that the export is of G1.
pub(super) fn role(inside: &str, first: bool) -> Role {
    if let Some(index) = modern_index(inside) {
        return Role::Index(index);
    }
    if first && inside == FIRST_INDEX {
        return Role::Index(Index::First);
    }
    if PRIVATE.iter().any(|folder| inside.starts_with(folder)) {
        return Role::Private;
    }
    if inside.ends_with(".json") || inside.ends_with(".html") {
        return Role::Text;
    }
    if let Some(&(_, kind, _)) = FOLDERS.iter().find(|(folder, ..)| inside.starts_with(folder)) {
        return Role::Media(kind);
    }
    let top = inside.split_once('/').map(|(top, _)| top).filter(|_| first);
    top.and_then(first_list).map_or(Role::Foreign, Role::Media)
}

/// What a list of G1's index holds.
pub(super) fn first_list(name: &str) -> Option<Kind> {
    FIRST_LISTS.iter().find(|(list, _)| *list == name).map(|&(_, kind)| kind)
}

/// Which index of G2 or later this is, if it is one.
fn modern_index(inside: &str) -> Option<Index> {
    let name = INDEX_FOLDERS.iter().find_map(|folder| inside.strip_prefix(folder))?;
    let stem = name.strip_suffix(".json")?;
    let (base, number) = match stem.rsplit_once('_') {
        Some((base, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => (base, true),
        _ => (stem, false),
    };
    let &(_, kind) = INDEXES.iter().find(|(name, _)| *name == base)?;
    Some(Index::Posts { kind, labelled: kind == Kind::Post && !number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_generation_is_told_by_place_and_name() {
        let posts = |labelled| Role::Index(Index::Posts { kind: Kind::Post, labelled });
        for (inside, expected) in [
            ("content/posts_1.json", posts(false)),
            ("your_instagram_activity/content/posts_12.json", posts(false)),
            ("your_instagram_activity/media/posts_1.json", posts(false)),
            ("your_instagram_activity/media/posts.json", posts(true)),
            (
                "your_instagram_activity/media/stories.json",
                Role::Index(Index::Posts { kind: Kind::Story, labelled: false }),
            ),
            ("logged_information/past_instagram_insights/posts.json", Role::Private),
            ("your_instagram_activity/messages/inbox/posts_1.json", Role::Private),
            ("your_instagram_activity/threads/x.jpg", Role::Private),
            ("your_instagram_activity/media/posts_1.html", Role::Private),
            ("messages/inbox/a_1/photos/x.jpg", Role::Private),
            ("direct/201901/x.jpg", Role::Private),
            ("media/posts/x.jpg", Role::Media(Kind::Post)),
            ("media/archived_posts/202401/x.jpg", Role::Media(Kind::Archived)),
            ("media/new_in_2027/x.jpg", Role::Media(Kind::Other)),
            ("photos/201901/x.jpg", Role::Foreign),
            ("holiday.jpg", Role::Foreign),
        ] {
            assert_eq!(role(inside, false), expected, "{inside}");
        }
        assert_eq!(role("media.json", true), Role::Index(Index::First));
        assert_eq!(role("media.json", false), Role::Text);
        assert_eq!(role("start_here.html", false), Role::Text);
        assert_eq!(role("stories/201901/x.jpg", true), Role::Media(Kind::Story));
    }

    #[test]
    fn an_export_is_told_by_its_folders() {
        for inside in [
            "media/posts/x.jpg",
            "your_instagram_activity/x",
            "content/posts_1.json",
            "messages/inbox/a_1/photos/x.jpg",
            "messages/message_requests/a_1/photos/x.jpg",
        ] {
            assert!(tells(inside), "{inside}");
        }
        for inside in ["content/readme.json", "multimedia/posts/x.jpg", "media/profile/x.jpg", "messages/x.jpg"] {
            assert!(!tells(inside), "{inside}");
        }
        assert_eq!(first_folder("photos/201901/x.jpg"), Some("photos"));
        assert_eq!(first_folder("direct/201901/x.jpg"), Some("direct"));
        for inside in ["photos/summer/x.jpg", "photos/201901", "me/photos/201901/x.jpg"] {
            assert_eq!(first_folder(inside), None, "{inside}");
        }
    }
}
