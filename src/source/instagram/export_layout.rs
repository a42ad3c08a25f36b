//! The folders and files of each generation of the export, as data. A new generation needs a row or two here and, if
//! its entries have a new form, a reader next to [`super::posts`].
//!
//! | | since | index | media |
//! |---|---|---|---|
//! | G1 | 2018 | `media.json` | `photos/YYYYMM/`, `videos/`, `stories/`, `profile/` |
//! | G2 | 2021 | `content/posts_1.json`, … | `media/posts/YYYYMM/`, … |
//! | G3 | 2024 | `your_instagram_activity/content/posts_1.json`, … | as G2 |
//! | G4 | 2024 | `your_instagram_activity/media/posts_1.json`, … | as G2, and `media/profile/`, `media/reels/` |
//! | G5 | 2025 | as G4, and `your_instagram_activity/media/posts.json` | as G4, and `public-media/` with the same |
//! | G6 | 2025 | `your_instagram_activity/posts/media/posts_1.json`, or none | also `your_instagram_activity/posts/media/your_posts/` |
//!
//! Meta introduces a generation account by account, so all generations are recognised at the same time.

use crate::config::PictureKind;

/// The names of the indexes of G2 and later (without their number, the number of a copy, and the suffix), and the kind
/// of the pictures that they list.
const INDEXES: [(&str, PictureKind); 12] = [
    ("posts", PictureKind::Post),
    ("your_posts", PictureKind::Post),
    ("stories", PictureKind::Story),
    ("reels", PictureKind::Reel),
    ("igtv_videos", PictureKind::Reel),
    ("archived_posts", PictureKind::Archived),
    ("archived_stories", PictureKind::Archived),
    ("recently_deleted_content", PictureKind::Archived),
    ("recently_deleted_media", PictureKind::Archived),
    ("profile_photos", PictureKind::Profile),
    ("other_content", PictureKind::Other),
    ("other_media", PictureKind::Other),
];

/// Folders that contain indexes and pictures of G2 and later, at any depth: the account's activity, its media (in two
/// folders, one of them for public media), and the folder that G2 called content.
const AREAS: [&str; 5] = ["your_instagram_activity", "media", "public-media", "public_media", "content"];

/// Folders of pictures (also with the prefix `your_`), and the kind of their pictures if no index states it.
const FOLDERS: [(&str, PictureKind); 13] = [
    ("posts", PictureKind::Post),
    ("stories", PictureKind::Story),
    ("highlights", PictureKind::Story),
    ("reels", PictureKind::Reel),
    ("igtv", PictureKind::Reel),
    ("archived_posts", PictureKind::Archived),
    ("archived_stories", PictureKind::Archived),
    ("archived", PictureKind::Archived),
    ("recently_deleted", PictureKind::Archived),
    ("recently_deleted_content", PictureKind::Archived),
    ("profile", PictureKind::Profile),
    ("profile_photos", PictureKind::Profile),
    ("other", PictureKind::Other),
];

/// Folders under `media/` that only an export has.
const RARE: [&str; 3] = ["archived_posts", "igtv", "recently_deleted"];
/// Folders under `media/` that an export has and that a website may have too.
const COMMON: [&str; 3] = ["posts", "stories", "reels"];

/// The lists in G1's index. Its folders have the same names.
const G1_LISTS: [(&str, PictureKind); 4] = [
    ("photos", PictureKind::Post),
    ("videos", PictureKind::Post),
    ("stories", PictureKind::Story),
    ("profile", PictureKind::Profile),
];

/// Private folders, at an export's root or in its areas: other people's content, and account data. They are never
/// opened.
const PRIVATE: [&str; 19] = [
    "messages",
    "threads",
    "direct",
    "saved",
    "likes",
    "comments",
    "story_interactions",
    "story_sticker_interactions",
    "subscriptions",
    "logged_information",
    "personal_information",
    "past_instagram_insights",
    "ads_information",
    "ads_and_businesses",
    "apps_and_websites_off_of_instagram",
    "connections",
    "preferences",
    "security_and_login_information",
    "reposts",
];
/// A folder at an export's root with the site's own logos.
const LOGOS: &str = "files";
/// Those of [`PRIVATE`] that are private only in an export's areas. At its root, folders with such common names need
/// not belong to the export.
const PRIVATE_IN_AREAS: [&str; 4] = ["saved", "likes", "comments", "subscriptions"];

/// Folders of messages. Each of them is enough to recognise an export.
const MAILBOXES: [&str; 4] = ["inbox", "message_requests", "archived_threads", "filtered_threads"];

/// The role of a file in an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// An index, which lists pictures.
    Index(Index),
    /// A picture or video, of this kind unless an index states another.
    Media(PictureKind),
    /// A file in a folder that is never opened.
    Private,
    /// A text file of the export that lists no pictures. It is not opened either.
    Text,
    /// Not a file of the export, only in the same folder.
    Foreign,
}

/// The format of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Index {
    /// G2 and later: posts or single pictures, all of one kind. The indexes of G5 are sorted after those that they
    /// complete.
    Posts {
        /// The kind of its pictures.
        kind: PictureKind,
        /// G5: labels take the place of fields.
        labelled: bool,
    },
    /// G1: a list for each kind.
    Generation1,
}

/// How certain it is, from the path of a file under a possible root, that this is an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// Only an export has such a path.
    Certain,
    /// A website may have such a path too, so other evidence is needed.
    Possible,
}

/// The evidence in the path of a file under a possible root; `None` if the path shows nothing.
pub(super) fn evidence(inner_path: &str) -> Option<Evidence> {
    let mut parts = inner_path.split('/');
    let (top, second, third) = (parts.next()?, parts.next()?, parts.next());
    match top {
        "your_instagram_activity" => Some(Evidence::Certain),
        // The content of `your_instagram_activity/`, if that folder is the source itself.
        _ if second == "media" && third.is_some_and(|third| third.starts_with("your_")) => {
            kind_of_folder(top).map(|_| Evidence::Certain)
        }
        "messages" => (third.is_some() && MAILBOXES.contains(&second)).then_some(Evidence::Certain),
        "content" => match index_kind(second.strip_suffix(".json").or_else(|| second.strip_suffix(".html"))?)? {
            // Website generators use the words posts, stories and reels too, but without numbers.
            PictureKind::Post | PictureKind::Story | PictureKind::Reel | PictureKind::Other
                if !second.contains('_') =>
            {
                Some(Evidence::Possible)
            }
            _ => Some(Evidence::Certain),
        },
        "media" | "public-media" => {
            let third = third?;
            // A folder of one month, or a picture named after its number on the site.
            let digits = third.split(['.', '_']).next().filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
            let numbered = digits.is_some_and(|digits| digits.len() >= 12);
            match is_month(third) || numbered || top != "media" {
                true if COMMON.contains(&second) => Some(Evidence::Certain),
                _ if RARE.contains(&second) => Some(Evidence::Certain),
                _ => COMMON.contains(&second).then_some(Evidence::Possible),
            }
        }
        _ => None,
    }
}

/// Whether a folder or a source has a name like Instagram's exports: `instagram-me-2024-01-31-AbCd`.
pub(in crate::source) fn is_exports_name(name: &str) -> bool {
    name.strip_prefix("instagram-").is_some_and(|rest| rest.contains('-'))
}

fn is_month(folder: &str) -> bool {
    folder.len() == 6 && folder.bytes().all(|b| b.is_ascii_digit())
}

/// The folder of G1 that contains the file at `inner_path`, a path under the root: `photos` for `photos/201903/…`.
/// `None` if the path does not look like one of G1.
pub(super) fn g1_folder(inner_path: &str) -> Option<&str> {
    let (folder, rest) = inner_path.split_once('/')?;
    let (month, _) = rest.split_once('/')?;
    let is_g1_folder = folder == "direct" || g1_list_kind(folder).is_some();
    (is_g1_folder && is_month(month)).then_some(folder)
}

/// Whether a folder of G1 is enough to recognise an export. Other people sort their photos by month too.
pub(super) fn is_conclusive(folder: &str) -> bool {
    matches!(folder, "direct" | "stories")
}

pub(in crate::source) const G1_INDEX: &str = "media.json";

/// The role of the file at `inner_path`, a path under the root. `is_g1` tells whether the export is of G1.
pub(super) fn role(inner_path: &str, is_g1: bool) -> Role {
    if let Some(index) = modern_index(inner_path) {
        return Role::Index(index);
    }
    if is_g1 && inner_path == G1_INDEX {
        return Role::Index(Index::Generation1);
    }
    if private_folder(inner_path).is_some() {
        return Role::Private;
    }
    if inner_path.ends_with(".json") || inner_path.ends_with(".html") {
        return Role::Text;
    }
    let folders: Vec<&str> = inner_path.split('/').rev().skip(1).collect();
    match folders.last() {
        Some(&"content") | None => Role::Foreign,
        Some(_) if is_area(folders.iter().rev().copied()) => Role::Media(kind_of_folders(&folders)),
        Some(top) if is_g1 => g1_list_kind(top).map_or(Role::Foreign, Role::Media),
        Some(_) => Role::Foreign,
    }
}

/// The private folder that a path under the root leads through, if any.
pub(super) fn private_folder(inner_path: &str) -> Option<&'static str> {
    let (folders, _) = inner_path.rsplit_once('/')?;
    let mut folders = folders.split('/');
    let top = folders.next()?;
    let private_name = |folder: &str| PRIVATE.into_iter().find(|name| *name == folder);
    match top {
        LOGOS => Some(LOGOS),
        top if is_area(std::iter::once(top).chain(folders.clone())) => folders.find_map(private_name),
        top => private_name(top).filter(|name| !PRIVATE_IN_AREAS.contains(name)),
    }
}

/// Whether folders, given from the root, are in an area of the export. That includes `posts/media/` if the activity
/// folder is the source itself.
fn is_area<'a>(mut folders: impl Iterator<Item = &'a str>) -> bool {
    let top = folders.next().unwrap_or_default();
    AREAS.contains(&top) || (kind_of_folder(top).is_some() && folders.next() == Some("media"))
}

/// The kind of the pictures in a folder of this name.
fn kind_of_folder(folder: &str) -> Option<PictureKind> {
    let name = folder.strip_prefix("your_").unwrap_or(folder);
    FOLDERS.iter().find(|(known, _)| *known == name).map(|&(_, kind)| kind)
}

/// The kind of the pictures in nested folders, given from the innermost. An archived folder at any level decides.
fn kind_of_folders(folders: &[&str]) -> PictureKind {
    let kinds = || folders.iter().filter_map(|folder| kind_of_folder(folder));
    kinds().find(|kind| *kind == PictureKind::Archived).or_else(|| kinds().next()).unwrap_or(PictureKind::Other)
}

/// The kind of the pictures in a list of G1's index.
pub(super) fn g1_list_kind(name: &str) -> Option<PictureKind> {
    G1_LISTS.iter().find(|(list, _)| *list == name).map(|&(_, kind)| kind)
}

/// The index of G2 or later at this path, if it is one: by its name, in an area or at the root, and not in a private
/// folder.
fn modern_index(inner_path: &str) -> Option<Index> {
    let (folder, name) = inner_path.rsplit_once('/').unwrap_or(("", inner_path));
    let top = folder.split('/').next().unwrap_or_default();
    let stem = name.strip_suffix(".json")?;
    // Threads stores its pictures among those of posts. Its list distinguishes them, and is the only file of Threads
    // that is read.
    if folder.rsplit('/').next() == Some("threads") && matches!(top, "threads" | "your_instagram_activity") {
        return stem.starts_with("threads").then_some(Index::Posts { kind: PictureKind::Threads, labelled: false });
    }
    let may_have_indexes = top.is_empty() || AREAS.contains(&top) || kind_of_folder(top).is_some();
    let in_private = || folder.split('/').any(|folder| PRIVATE.contains(&folder));
    if !may_have_indexes || in_private() {
        return None;
    }
    let kind = index_kind(stem)?;
    let numbered = without_number(without_copy(stem)).1.is_some();
    Some(Index::Posts { kind, labelled: kind == PictureKind::Post && !numbered })
}

/// The kind of the pictures that an index of this name lists.
fn index_kind(stem: &str) -> Option<PictureKind> {
    let (base, _) = without_number(without_copy(stem));
    INDEXES.iter().find(|(name, _)| *name == base).map(|&(_, kind)| kind)
}

/// `posts_1` for `posts_1 (1)`. Browsers and systems add such a number if a file of the name exists.
fn without_copy(stem: &str) -> &str {
    let copy = stem.strip_suffix(')').and_then(|rest| rest.rsplit_once('('));
    let copy = copy.filter(|(_, number)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    copy.map_or(stem, |(before, _)| before.trim_end())
}

/// `posts_1` split into `posts` and `1`.
fn without_number(stem: &str) -> (&str, Option<&str>) {
    match stem.rsplit_once('_') {
        Some((base, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => {
            (base, Some(number))
        }
        _ => (stem, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn index(kind: PictureKind, labelled: bool) -> Role {
        Role::Index(Index::Posts { kind, labelled })
    }

    #[test]
    fn an_index_is_told_by_its_name_wherever_it_lies() {
        for (inner_path, expected) in [
            ("content/posts_1.json", index(PictureKind::Post, false)),
            ("posts_1.json", index(PictureKind::Post, false)),
            ("your_instagram_activity/content/posts_12.json", index(PictureKind::Post, false)),
            ("your_instagram_activity/media/posts_1.json", index(PictureKind::Post, false)),
            ("your_instagram_activity/media/posts_1 (1).json", index(PictureKind::Post, false)),
            ("your_instagram_activity/posts/posts_1(2).json", index(PictureKind::Post, false)),
            ("your_instagram_activity/posts/media/posts_1.json", index(PictureKind::Post, false)),
            ("your_instagram_activity/media/posts.json", index(PictureKind::Post, true)),
            ("your_instagram_activity/media/stories.json", index(PictureKind::Story, false)),
            ("your_instagram_activity/stories/media/archived_posts.json", index(PictureKind::Archived, false)),
            ("your_instagram_activity/threads/threads_and_replies.json", index(PictureKind::Threads, false)),
            ("threads/threads_and_replies_1.json", index(PictureKind::Threads, false)),
            ("logged_information/past_instagram_insights/posts.json", Role::Private),
            ("your_instagram_activity/messages/inbox/posts_1.json", Role::Private),
            ("your_instagram_activity/saved/posts_1.json", Role::Private),
            ("your_instagram_activity/likes/posts.json", Role::Private),
            ("your_instagram_activity/threads/posts_1.json", Role::Private),
            ("your_instagram_activity/media/posts_1.html", Role::Text),
            ("posts.json", index(PictureKind::Post, true)),
            ("posts/media/posts_1.json", index(PictureKind::Post, false)),
            ("posts/saved/posts_1.json", Role::Text),
            ("holiday/posts_1.json", Role::Text),
        ] {
            assert_eq!(role(inner_path, false), expected, "{inner_path}");
        }
    }

    #[test]
    fn pictures_are_told_by_their_folders() {
        for (inner_path, expected) in [
            ("media/posts/x.jpg", Role::Media(PictureKind::Post)),
            ("media/archived_posts/202401/x.jpg", Role::Media(PictureKind::Archived)),
            ("media/new_in_2027/x.jpg", Role::Media(PictureKind::Other)),
            ("public-media/reels/202401/x.jpg", Role::Media(PictureKind::Reel)),
            ("your_instagram_activity/posts/media/your_posts/1.png", Role::Media(PictureKind::Post)),
            ("your_instagram_activity/stories/media/your_stories/1.png", Role::Media(PictureKind::Story)),
            ("your_instagram_activity/posts/media/your_archived_posts/1.png", Role::Media(PictureKind::Archived)),
            ("your_instagram_activity/archived_posts/media/your_posts/1.png", Role::Media(PictureKind::Archived)),
            ("stories/media/your_stories/1.png", Role::Media(PictureKind::Story)),
            ("stories/1.png", Role::Foreign),
            ("your_instagram_activity/new/1.png", Role::Media(PictureKind::Other)),
            ("your_instagram_activity/threads/x.jpg", Role::Private),
            ("messages/inbox/a_1/photos/x.jpg", Role::Private),
            ("direct/201901/x.jpg", Role::Private),
            ("files/x.png", Role::Private),
            ("saved/x.jpg", Role::Foreign),
            ("photos/201901/x.jpg", Role::Foreign),
            ("holiday.jpg", Role::Foreign),
        ] {
            assert_eq!(role(inner_path, false), expected, "{inner_path}");
        }
        assert_eq!(role("media.json", true), Role::Index(Index::Generation1));
        assert_eq!(role("media.json", false), Role::Text);
        assert_eq!(role("start_here.html", false), Role::Text);
        assert_eq!(role("stories/201901/x.jpg", true), Role::Media(PictureKind::Story));
    }

    #[test]
    fn an_export_is_told_by_its_folders() {
        for inner_path in [
            "media/posts/202401/x.jpg",
            "media/posts/17900000000000.jpg",
            "media/stories/17900000000000_1_n.webp",
            "media/archived_posts/x.jpg",
            "public-media/posts/x.jpg",
            "your_instagram_activity/x",
            "content/posts_1.json",
            "content/posts_1.html",
            "posts/media/your_posts/1.png",
            "messages/inbox/a_1/photos/x.jpg",
            "messages/message_requests/a_1/photos/x.jpg",
        ] {
            assert_eq!(evidence(inner_path), Some(Evidence::Certain), "{inner_path}");
        }
        for inner_path in ["media/posts/x.jpg", "media/posts/hero/x.jpg", "content/posts.json"] {
            assert_eq!(evidence(inner_path), Some(Evidence::Possible), "{inner_path}");
        }
        for inner_path in
            ["content/readme.json", "multimedia/posts/x.jpg", "media/profile/x.jpg", "messages/x.jpg", "media/posts"]
        {
            assert_eq!(evidence(inner_path), None, "{inner_path}");
        }
        assert_eq!(g1_folder("photos/201901/x.jpg"), Some("photos"));
        assert_eq!(g1_folder("direct/201901/x.jpg"), Some("direct"));
        for inner_path in ["photos/summer/x.jpg", "photos/201901", "me/photos/201901/x.jpg"] {
            assert_eq!(g1_folder(inner_path), None, "{inner_path}");
        }
    }
}
