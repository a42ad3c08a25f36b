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

/// Folders of pictures of G2 and later, and what is in them when no index says so.
const FOLDERS: [(&str, Kind); 9] = [
    ("media/posts/", Kind::Post),
    ("media/stories/", Kind::Story),
    ("media/reels/", Kind::Reel),
    ("media/igtv/", Kind::Reel),
    ("media/archived_posts/", Kind::Archived),
    ("media/recently_deleted/", Kind::Archived),
    ("media/profile/", Kind::Profile),
    ("media/other/", Kind::Other),
    ("media/", Kind::Other),
];

/// The lists of G1's index, which are also its folders.
const FIRST_LISTS: [(&str, Kind); 4] =
    [("photos", Kind::Post), ("videos", Kind::Post), ("stories", Kind::Story), ("profile", Kind::Profile)];

/// Never looked into: what an export holds of other people and of the account (in `files`: the
/// site's own logos).
const PRIVATE: [&str; 8] = [
    "messages/",
    "threads/",
    "direct/",
    "your_instagram_activity/",
    "logged_information/",
    "personal_information/",
    "past_instagram_insights/",
    "files/",
];

/// What a file is to an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Lists pictures.
    Index(Index),
    /// A picture or film, of this kind unless an index says otherwise.
    Media(Kind),
    /// Not to be opened; the flag tells a page of an HTML export.
    Private { page: bool },
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

/// The root of the export that `path` belongs to, if its name alone tells.
pub(super) fn root(path: &str) -> Option<&str> {
    // `media/other/` or `media/profile/` alone may be anybody's folder.
    let telling = FOLDERS.iter().filter(|(_, kind)| !matches!(kind, Kind::Other | Kind::Profile));
    let folders = ["your_instagram_activity/", "messages/inbox/"].into_iter().chain(telling.map(|&(folder, _)| folder));
    let of_folder = folders.filter_map(|folder| Some(&path[..find_part(path, folder)?])).min_by_key(|root| root.len());
    of_folder.or_else(|| {
        let at = find_part(path, INDEX_FOLDERS[0])?;
        modern_index(&path[at..]).map(|_| &path[..at])
    })
}

/// The root of the export of the first generation whose media `path` is; only together with a
/// `media.json` in that root does this mean anything.
pub(super) fn first_root(path: &str) -> Option<&str> {
    let folders = FIRST_LISTS.iter().map(|&(list, _)| list).chain(["direct"]);
    let found = folders.filter_map(|folder| {
        let at = find_part(path, &format!("{folder}/"))?;
        let month = path.get(at + folder.len() + 1..)?.split('/').next()?;
        (month.len() == 6 && month.bytes().all(|b| b.is_ascii_digit())).then_some(&path[..at])
    });
    found.min_by_key(|root| root.len())
}

/// Name of G1's index.
pub(super) const FIRST_INDEX: &str = "media.json";

/// Where `part` begins in `path`, if it begins with a path component.
fn find_part(path: &str, part: &str) -> Option<usize> {
    if path.starts_with(part) {
        return Some(0);
    }
    path.find(&format!("/{part}")).map(|at| at + 1)
}

/// What the file at `inside` (a path under the root) is; `first` says that the export is of G1.
pub(super) fn role(inside: &str, first: bool) -> Role {
    if let Some(index) = modern_index(inside) {
        return Role::Index(index);
    }
    if first && inside == FIRST_INDEX {
        return Role::Index(Index::First);
    }
    let suffix = inside.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    if PRIVATE.iter().any(|folder| inside.starts_with(folder)) || matches!(suffix, "json" | "html") {
        return Role::Private { page: suffix == "html" };
    }
    if let Some(&(_, kind)) = FOLDERS.iter().find(|(folder, _)| inside.starts_with(folder)) {
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
            ("logged_information/past_instagram_insights/posts.json", Role::Private { page: false }),
            ("your_instagram_activity/messages/inbox/posts_1.json", Role::Private { page: false }),
            ("your_instagram_activity/threads/x.jpg", Role::Private { page: false }),
            ("your_instagram_activity/media/posts_1.html", Role::Private { page: true }),
            ("messages/inbox/a_1/photos/x.jpg", Role::Private { page: false }),
            ("direct/201901/x.jpg", Role::Private { page: false }),
            ("media/posts/x.jpg", Role::Media(Kind::Post)),
            ("media/archived_posts/202401/x.jpg", Role::Media(Kind::Archived)),
            ("media/new_in_2027/x.jpg", Role::Media(Kind::Other)),
            ("photos/201901/x.jpg", Role::Foreign),
            ("holiday.jpg", Role::Foreign),
        ] {
            assert_eq!(role(inside, false), expected, "{inside}");
        }
        assert_eq!(role("media.json", true), Role::Index(Index::First));
        assert_eq!(role("media.json", false), Role::Private { page: false });
        assert_eq!(role("stories/201901/x.jpg", true), Role::Media(Kind::Story));
    }

    #[test]
    fn roots_are_found_wherever_they_lie() {
        assert_eq!(root("media/posts/x.jpg"), Some(""));
        assert_eq!(root("2024/me/media/stories/202401/x.jpg"), Some("2024/me/"));
        assert_eq!(root("me/your_instagram_activity/messages/inbox/media/posts/x.jpg"), Some("me/"));
        assert_eq!(root("a/content/posts_1.json"), Some("a/"));
        assert_eq!(root("a/content/readme.json"), None);
        assert_eq!(root("multimedia/posts/x.jpg"), None);
        assert_eq!(root("media/profile/x.jpg"), None);
        assert_eq!(first_root("me/photos/201901/x.jpg"), Some("me/"));
        assert_eq!(first_root("photos/summer/x.jpg"), None);
    }
}
